//! The way in from outside, as far as it can be judged from here: a question of our own goes out through the public address and must come
//! back as this daemon answers it (F11), and what stands in the way is told apart (F13, F14). Without a way in everything still works, by
//! asking: nothing here is red but a configuration that can never work.

use super::{Doctor, Level, local_url};
use crate::config::tunnel::{SshTunnel, TunnelKind};
use crate::config::{Config, is_loopback};
use crate::host::ids::Ids;
use crate::host::redact::redact;
use crate::transport::web::{Answer, Limits, Request, Trust, Web};
use crate::transport::{Bar, Loss};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// How long the way in may take, and how much it may say.
const PROBE: Limits = Limits { whole: Duration::from_secs(8), body_max: 1024 };

/// Characters of a nonce.
const NONCE_CHARS: usize = 20;

impl Doctor {
    /// The section, its files, and the way in itself.
    pub(super) async fn tunnel(&mut self, config: &Config) {
        match &config.tunnel.kind {
            TunnelKind::None if config.tunnel.public_url.is_none() => {
                return self.note(Level::Green, "tunnel", "doctor.tunnel_none", "");
            }
            TunnelKind::None => {}
            TunnelKind::Ssh(ssh) => self.ssh(config, ssh),
            TunnelKind::Command(tunnel) => self.program(tunnel.command.first().map_or("", String::as_str)),
        }
        let Some(url) = &config.tunnel.public_url else { return };
        if !url.starts_with("https://") && !is_loopback(url) {
            self.note(Level::Yellow, "tunnel.public_url", "doctor.tunnel_plain", url);
        }
        for cloud in &config.clouds {
            let address = format!("{url}/webhooks/{}", cloud.name);
            self.note(Level::Green, format!("webhook.{}", cloud.name), "doctor.webhook_at", &address);
        }
        self.way_in(config, url).await;
    }

    fn ssh(&mut self, config: &Config, ssh: &SshTunnel) {
        // What is wrong with the key was told with the secrets.
        if config.tunnel_key().is_none() {
            let shown = ssh.key_file.display().to_string();
            self.note(Level::Green, "tunnel.key_file", "doctor.tunnel_key", &shown);
        }
        let keys: Vec<String> = ssh.host_keys.iter().map(|key| crate::transport::ssh_key::fingerprint(key)).collect();
        self.note(Level::Green, "tunnel.host_keys", "doctor.tunnel_pinned", &keys.join(", "));
    }

    /// Whether the program of a command is there; its words are nobody's business.
    fn program(&mut self, program: &str) {
        let is_there = |path: &Path| {
            std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        };
        let found = match program.contains('/') {
            true => is_there(Path::new(program)),
            false => std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|folder| is_there(&folder.join(program)))),
        };
        let (level, code) =
            if found { (Level::Green, "doctor.tunnel_program") } else { (Level::Red, "doctor.tunnel_program_away") };
        self.note(level, "tunnel.command", code, program);
    }

    /// The same nonce to our own listener and through the public address: one daemon gives one answer.
    async fn way_in(&mut self, config: &Config, url: &str) {
        let path = format!("/probe/{}", Ids::machine().name(NONCE_CHARS));
        let near = match ask(&local_url(config), &path).await {
            Ok(answer) if answer.status == 200 => answer,
            // That no daemon runs is told already; without its answer nobody can know whose answer comes back.
            Ok(_) | Err(_) => return self.note(Level::Unknown, "tunnel.probe", "doctor.tunnel_unasked", ""),
        };
        match ask(url, &path).await {
            Ok(far) if far.status == 200 && far.body == near.body => {
                self.note(Level::Green, "tunnel.probe", "doctor.tunnel_good", url);
            }
            Ok(far) => self.note(Level::Yellow, "tunnel.probe", "doctor.tunnel_other", &far.shape()),
            Err((bar, cause)) => {
                let code = match bar {
                    Some(Bar::Nameless) => "doctor.tunnel_no_name",
                    Some(Bar::Refused) => "doctor.tunnel_refused",
                    Some(Bar::Silent) => "doctor.tunnel_silent",
                    Some(Bar::TlsClock) => "doctor.tunnel_tls_clock",
                    Some(Bar::TlsExpired) => "doctor.tunnel_tls_expired",
                    Some(Bar::TlsName) => "doctor.tunnel_tls_name",
                    Some(Bar::TlsIssuer) => "doctor.tunnel_tls_issuer",
                    Some(Bar::TlsCertificate | Bar::TlsSpeech) => "doctor.tunnel_tls",
                    Some(Bar::Foreign | Bar::Stranger) => "doctor.tunnel_other",
                    None => "doctor.tunnel_away",
                };
                self.note(Level::Yellow, "tunnel.probe", code, &redact(&cause));
            }
        }
    }
}

async fn ask(base: &str, path: &str) -> Result<Answer, (Option<Bar>, String)> {
    let web = Web::open(base, &Trust::Roots).map_err(|cause| (None, cause.to_string()))?;
    web.send(&Request::get(path), PROBE).await.map_err(|loss| match loss {
        Loss::NotSent(cause) | Loss::Unknown(cause) => (cause.bar, cause.text),
    })
}
