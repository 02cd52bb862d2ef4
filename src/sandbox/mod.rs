pub mod aipay;
pub mod bot;
pub mod faults;
pub mod gate;
