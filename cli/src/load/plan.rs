//! What a run will do, validated and pure: where to, how many, how wide, until
//! when. Built by `cmd::load`, carried out by `engine`.

use std::time::Duration;

use http::Method;

use super::reservoir::Keep;
use super::target::Target;

/// Requests sent where neither a count nor a duration is asked for.
pub const DEFAULT_COUNT: u64 = 50;
/// Connections kept busy at the same time.
pub const DEFAULT_CONNECTIONS: usize = 10;
/// The most connections one run may ask for: more than the ports one address
/// has to give would only measure the generator.
pub const MAX_CONNECTIONS: usize = 60_000;
/// How long one request may take, connecting included.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a new connection may take, TLS handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests in flight may go on after an interrupt.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(5);

/// One closed-loop run: every connection sends its next request as soon as the
/// one before is answered.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The URL every request asks for.
    pub target: Target,
    /// Method of every request, which has no body.
    pub method: Method,
    /// Requests to send; `None` leaves the end to `duration`.
    pub count: Option<u64>,
    /// When to stop sending; `None` leaves the end to `count`.
    pub duration: Option<Duration>,
    /// Connections, at least 1.
    pub connections: usize,
    /// Threads that send, at least 1; no more than connections are used.
    pub threads: usize,
    /// Bound on one request, from the moment it is due to its last byte.
    pub timeout: Duration,
    /// How long requests in flight may go on once the run is stopped.
    pub drain: Duration,
    /// Which traces are audited of a run that makes more than are kept.
    pub keep: Keep,
}

impl Plan {
    /// A plan for `target` with the defaults of this module and one thread.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            method: Method::GET,
            count: Some(DEFAULT_COUNT),
            duration: None,
            connections: DEFAULT_CONNECTIONS,
            threads: 1,
            timeout: DEFAULT_TIMEOUT,
            drain: DEFAULT_DRAIN,
            keep: Keep::Uniform,
        }
    }

    /// The static part of the work each thread gets, fixed before the start so
    /// that threads share nothing while they send.
    pub fn shares(&self) -> Vec<Share> {
        let wanted = self.count.unwrap_or(u64::MAX);
        let connections = self
            .connections
            .min(usize::try_from(wanted).unwrap_or(usize::MAX))
            .max(1);
        let threads = self.threads.clamp(1, connections);
        (0..threads)
            .map(|thread| {
                // Cut both at the same places, so that no thread has more
                // requests for each of its connections than another.
                let (from, to) = (
                    connections * thread / threads,
                    connections * (thread + 1) / threads,
                );
                let cut = |at: usize| {
                    self.count.map(|count| {
                        let part = u128::from(count) * at as u128 / connections as u128;
                        u64::try_from(part).expect("a part of a u64 is no larger than it")
                    })
                };
                Share {
                    connections: to - from,
                    quota: cut(to).zip(cut(from)).map(|(to, from)| to - from),
                }
            })
            .collect()
    }
}

/// What one thread does of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Connections this thread keeps, at least 1.
    pub connections: usize,
    /// Requests this thread sends; `None` is without limit.
    pub quota: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(count: Option<u64>, connections: usize, threads: usize) -> Plan {
        Plan {
            count,
            connections,
            threads,
            ..Plan::new("http://host".parse().expect("a good URL"))
        }
    }

    #[test]
    fn shares_add_up_to_the_plan() {
        for count in [1, 7, 50, 20_000, u64::MAX] {
            for connections in [1, 3, 10, 64] {
                for threads in [1, 2, 3, 16] {
                    let shares = plan(Some(count), connections, threads).shares();
                    let sent: u128 = shares.iter().map(|s| u128::from(s.quota.unwrap())).sum();
                    assert_eq!(sent, u128::from(count));
                    let open: usize = shares.iter().map(|s| s.connections).sum();
                    assert_eq!(open as u64, count.min(connections as u64));
                    assert!(
                        shares
                            .iter()
                            .all(|s| s.connections >= 1 && s.quota >= Some(1))
                    );
                }
            }
        }
    }

    #[test]
    fn a_run_by_duration_has_no_quota() {
        let shares = plan(None, 10, 4).shares();
        assert_eq!(shares.len(), 4);
        assert!(shares.iter().all(|share| share.quota.is_none()));
    }
}
