//! Which tokens the hub takes, and why it refuses the others; hostile ones above all.
//!
//! Each test names the requirement that it checks. Nothing here speaks HTTP, but for what fetches key sets.

mod explaining;
#[cfg(feature = "jwks")]
mod fetching;
mod genuine;
mod hostile;
mod key_sets;
mod keys;
mod legacy;
mod minting;
mod properties;
mod stage;
