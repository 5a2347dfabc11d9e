//! What a hub may be called where its name is part of a store's names, and how a server's address is told.

/// What a name may be longer than nowhere: some stores make a folder of it.
const BYTES_MAX: usize = 64;

/// Whether a hub can be called this: letters, digits, `-` and `_`, 64 at most.
pub(crate) fn is_hub_name(hub: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !hub.is_empty() && hub.len() <= BYTES_MAX && hub.bytes().all(is_plain)
}

/// A server's address without what may be a password.
pub(crate) fn redacted(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_s_names_have_no_room_for_is_no_name() {
        for hub in ["", "a.b", "a b", "a*", ">", "gr\u{fc}n", "a}", &"a".repeat(65)] {
            assert!(!is_hub_name(hub), "{hub}");
        }
        assert!(is_hub_name("Shop-2_eu"));
    }

    #[test]
    fn no_password_of_an_address_is_told() {
        assert_eq!(redacted("nats://me:se@cret@host:4222"), "nats://…@host:4222");
        assert_eq!(redacted("me:secret@host"), "…@host");
        assert_eq!(redacted("host:1"), "host:1");
    }
}
