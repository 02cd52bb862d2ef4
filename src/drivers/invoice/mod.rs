//! Payment clouds: requests to a phone, links and QR, with their webhook schemes.

pub mod aipay;
