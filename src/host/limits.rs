//! How many files and connections this process may have open at once: each connection of a tunnel costs two, and the usual 1024 are too few
//! for a flood to be sat out (issue 6). systemd sets it for the service (`LimitNOFILE`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for both listeners, the tunnel, the devices and the ledger.
const DESCRIPTORS: u64 = 8192;

/// Raises the limit as far as it is allowed and needed; how many there are now.
pub fn raise_descriptors() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let (current, maximum) = (now.current.unwrap_or(u64::MAX), now.maximum.unwrap_or(u64::MAX));
    let wanted = DESCRIPTORS.min(maximum);
    if current >= wanted || setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: now.maximum }).is_err()
    {
        return current;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_twice_changes_nothing_more() {
        let raised = raise_descriptors();
        assert!(raised >= 1024, "{raised}");
        assert_eq!(raise_descriptors(), raised);
    }
}
