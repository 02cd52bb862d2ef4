//! The outside world as real servers on loopback, each speaking its partner's documented protocol strictly: AiPay, Poster, Kaspi
//! terminals, a bot, and a page to play guest, waiter and bad luck. Used by `kassad demo`, `kassad sandbox`, integrators and the tests.
//! A partner is a state behind a short lock, a router, and hands for the people around it; it never knows who calls.

pub mod aipay;
pub mod bot;
pub mod faults;
pub mod gate;
pub mod poster;
pub mod terminal;
