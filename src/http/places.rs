//! Who has a place at a listener. Places are few, and when all are taken the one who has kept us waiting longest gives his to the
//! newcomer: whoever has handed in a whole request is never sent away for somebody else, so slow clients shut nobody out (issue 6, F15).

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The places of one listener.
#[derive(Clone, Debug)]
pub struct Places(Arc<Room>);

#[derive(Debug)]
struct Room {
    most: usize,
    most_of_one: usize,
    book: Mutex<Book>,
    displaced: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Book {
    /// The next number of a guest or of a wait; numbers only grow, so the smallest wait is the longest.
    next: u64,
    guests: HashMap<u64, Guest>,
    /// Guests without a whole request, by the number of their wait.
    waiting: BTreeMap<u64, u64>,
    sources: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Guest {
    source: Option<IpAddr>,
    /// The number of its wait; `None` while it is at work.
    wait: Option<u64>,
    /// Requests of this connection at work: an answer may still be on its way when the next is asked.
    at_work: usize,
    leave: Arc<Notify>,
}

/// A connection's place; it comes back when the last copy is dropped.
#[derive(Clone, Debug)]
pub struct Place(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    room: Arc<Room>,
    number: u64,
    leave: Arc<Notify>,
}

/// While it is held, the connection is at work and keeps its place.
#[derive(Debug)]
pub struct Work(Place);

impl Places {
    /// So many places in all, and so many for one source.
    pub fn new(most: usize, most_of_one: usize) -> Places {
        Places(Arc::new(Room {
            most,
            most_of_one,
            book: Mutex::default(),
            displaced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// A place for a newcomer; `None` when every place it could have is at work. The flag tells whether somebody had to leave for it.
    pub fn take(&self, peer: IpAddr) -> Option<(Place, bool)> {
        let source = source(peer);
        let mut book = self.0.book();
        let of_source = source.and_then(|source| book.sources.get(&source)).copied().unwrap_or(0);
        let leaves = if of_source >= self.0.most_of_one {
            let is_of_source = |guest: &Guest| guest.source == source;
            book.longest_waiting(is_of_source)
        } else if source.is_some() && book.sources.values().sum::<usize>() >= self.0.most / 2 {
            // The other half is this machine's own: a crowd in the Wi-Fi never shuts the cashier out.
            book.longest_waiting(|guest| guest.source.is_some())
        } else if book.guests.len() >= self.0.most {
            book.longest_waiting(|_| true)
        } else {
            return Some((self.0.enter(&mut book, source), false));
        };
        let Some(leaves) = leaves else {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if let Some(guest) = book.remove(leaves) {
            guest.leave.notify_one();
        }
        self.0.displaced.fetch_add(1, Ordering::Relaxed);
        Some((self.0.enter(&mut book, source), true))
    }

    /// Places taken now.
    pub fn taken(&self) -> usize {
        self.0.book().guests.len()
    }

    /// Connections that gave their place to another, since the start.
    pub fn displaced(&self) -> u64 {
        self.0.displaced.load(Ordering::Relaxed)
    }

    /// Connections for which there was no place, since the start.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Places in all.
    pub fn most(&self) -> usize {
        self.0.most
    }
}

impl Place {
    /// A whole request is here: until the work is dropped, nobody else gets this place.
    pub fn work(&self) -> Work {
        let mut book = self.0.room.book();
        if let Some(guest) = book.guests.get_mut(&self.0.number) {
            guest.at_work += 1;
            if let Some(wait) = guest.wait.take() {
                book.waiting.remove(&wait);
            }
        }
        Work(self.clone())
    }

    /// A request has begun: its wait is a new one, however long the connection was kept before.
    pub fn begin(&self) {
        let mut book = self.0.room.book();
        let wait = book.guests.get_mut(&self.0.number).and_then(|guest| guest.wait.take());
        if let Some(wait) = wait {
            book.waiting.remove(&wait);
            book.wait(self.0.number);
        }
    }

    /// Waits until the place was given to another.
    pub async fn lost(&self) {
        self.0.leave.notified().await;
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut book = self.0.0.room.book();
        let number = self.0.0.number;
        let rests = book.guests.get_mut(&number).is_some_and(|guest| {
            guest.at_work = guest.at_work.saturating_sub(1);
            guest.at_work == 0
        });
        if rests {
            book.wait(number);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        drop(self.room.book().remove(self.number));
    }
}

impl Room {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Room>, book: &mut Book, source: Option<IpAddr>) -> Place {
        let number = book.number();
        let leave = Arc::new(Notify::new());
        book.guests.insert(number, Guest { source, wait: None, at_work: 0, leave: leave.clone() });
        if let Some(source) = source {
            *book.sources.entry(source).or_default() += 1;
        }
        book.wait(number);
        Place(Arc::new(Taken { room: self.clone(), number, leave }))
    }
}

impl Book {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A guest begins to keep us waiting.
    fn wait(&mut self, number: u64) {
        let wait = self.number();
        if let Some(guest) = self.guests.get_mut(&number) {
            guest.wait = Some(wait);
            self.waiting.insert(wait, number);
        }
    }

    fn longest_waiting(&self, is_meant: impl Fn(&Guest) -> bool) -> Option<u64> {
        self.waiting.values().copied().find(|number| self.guests.get(number).is_some_and(&is_meant))
    }

    fn remove(&mut self, number: u64) -> Option<Guest> {
        let guest = self.guests.remove(&number)?;
        if let Some(wait) = guest.wait {
            self.waiting.remove(&wait);
        }
        if let Some(source) = guest.source
            && let Some(count) = self.sources.get_mut(&source)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        Some(guest)
    }
}

/// Whom a connection is counted against; nobody on this machine, where a tunnel brings the whole world from one address. A household has
/// one IPv4 address or one IPv6 network of 64 bits.
fn source(peer: IpAddr) -> Option<IpAddr> {
    match peer.to_canonical() {
        own if own.is_loopback() => None,
        IpAddr::V4(four) => Some(IpAddr::V4(four)),
        IpAddr::V6(six) => {
            let network = u128::from(six) & !u128::from(u64::MAX);
            Some(IpAddr::V6(Ipv6Addr::from(network)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNNEL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn is_lost(place: &Place) -> bool {
        let mut lost = std::pin::pin!(place.lost());
        lost.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn the_longest_waiting_leaves_and_nobody_at_work() {
        let places = Places::new(3, 2);
        let taken: Vec<Place> = (0..3).filter_map(|_| Some(places.take(TUNNEL)?.0)).collect();
        assert_eq!(taken.len(), 3);
        let work = taken[0].work();
        let fourth: Vec<Place> = places.take(TUNNEL).into_iter().map(|(place, _)| place).collect();
        assert_eq!(taken.iter().map(is_lost).collect::<Vec<_>>(), [false, true, false]);
        // Whoever has been served waits anew, behind all others.
        drop(work);
        let fifth: Vec<Place> = places.take(TUNNEL).into_iter().map(|(place, _)| place).collect();
        assert_eq!((is_lost(&taken[2]), is_lost(&taken[0])), (true, false));
        let _all_at_work = [taken[0].work(), fourth[0].work(), fifth[0].work()];
        assert!(places.take(TUNNEL).is_none());
        assert_eq!((places.taken(), places.displaced(), places.refused()), (3, 2, 1));
    }

    #[test]
    fn a_place_comes_back_and_a_displaced_one_only_once() {
        let places = Places::new(1, 1);
        let first = places.take(TUNNEL);
        let second = places.take(TUNNEL);
        drop(first);
        assert_eq!(places.taken(), 1);
        drop(second);
        assert_eq!(places.taken(), 0);
        assert!(places.0.book().waiting.is_empty());
    }

    #[test]
    fn one_source_only_displaces_its_own() -> Result<(), std::net::AddrParseError> {
        let places = Places::new(8, 2);
        let (here, there): (IpAddr, IpAddr) = ("192.0.2.1".parse()?, "2001:db8::1".parse()?);
        let same_network: IpAddr = "2001:db8::ffff:1".parse()?;
        let mapped: IpAddr = "::ffff:192.0.2.1".parse()?;
        let taken: Vec<Place> =
            [there, here, mapped, same_network].into_iter().filter_map(|peer| Some(places.take(peer)?.0)).collect();
        assert_eq!((taken.len(), places.displaced()), (4, 0));
        let fifth: Vec<Place> = places.take(here).into_iter().map(|(place, _)| place).collect();
        assert_eq!((fifth.len(), places.displaced()), (1, 1));
        assert_eq!(taken.iter().map(is_lost).collect::<Vec<_>>(), [false, true, false, false]);
        let _all_at_work = (taken[2].work(), fifth[0].work());
        assert!(places.take(mapped).is_none(), "both of its places are at work");
        Ok(())
    }

    #[test]
    fn a_crowd_from_elsewhere_leaves_half_of_the_places_to_this_machine() {
        let places = Places::new(4, 4);
        let guest = |last: u8| IpAddr::from([192, 0, 2, last]);
        let crowd: Vec<Place> = (1..=2).filter_map(|last| Some(places.take(guest(last))?.0)).collect();
        let _at_work: Vec<Work> = crowd.iter().map(Place::work).collect();
        assert!(places.take(guest(3)).is_none());
        assert!(places.take(TUNNEL).is_some_and(|(_, has_displaced)| !has_displaced));
    }

    #[test]
    fn a_request_that_begins_waits_anew_on_a_kept_connection() {
        let places = Places::new(2, 2);
        let taken: Vec<Place> = (0..2).filter_map(|_| Some(places.take(TUNNEL)?.0)).collect();
        taken[0].begin();
        let _third = places.take(TUNNEL);
        assert_eq!(taken.iter().map(is_lost).collect::<Vec<_>>(), [false, true]);
    }
}
