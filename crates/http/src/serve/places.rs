//! How many places each client has taken, so that no single one takes them all.
//!
//! It counts and refuses nobody itself. IPv6 clients are counted by the first 64 bits of their address, which is the least
//! that one of them is given.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places of all clients.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    /// Only of those who have one.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// Something of a client's that counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: IpAddr,
    standing: Standing,
}

/// How a client, or all together, stood when a place was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// There are no more than there may be.
    Within,
    /// There are more; who has come may be told.
    Over,
    /// There are far more; telling them would be another way to be held up by them.
    FarOver,
}

impl Standing {
    /// With `count` places, where there may be `most`, and above `far` nobody is told.
    pub(crate) fn of(count: u64, most: u64, far: u64) -> Self {
        match count {
            count if count <= most => Self::Within,
            count if count <= far => Self::Over,
            _ => Self::FarOver,
        }
    }
}

impl Places {
    /// Each client may have `most`.
    pub(crate) fn new(most: NonZeroUsize) -> Arc<Self> {
        Arc::new(Self { most: most.get(), taken: Mutex::default() })
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Takes one for `address`, whether it may have it or not: also whoever is being refused takes room.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        let client = client(address);
        let mut taken = self.taken();
        let count = taken.entry(client).or_default();
        *count += 1;
        let standing = self.standing_with(*count);
        drop(taken);
        Place { places: self.clone(), client, standing }
    }

    /// How the client at `address` stands now.
    pub(crate) fn standing(&self, address: IpAddr) -> Standing {
        self.standing_with(self.taken().get(&client(address)).copied().unwrap_or_default())
    }

    fn standing_with(&self, count: usize) -> Standing {
        let most = self.most as u64;
        Standing::of(count as u64, most, most.saturating_mul(2))
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing panics while it is locked.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(most: usize) -> Arc<Places> {
        Places::new(NonZeroUsize::new(most).expect("not zero"))
    }

    fn take(places: &Arc<Places>, address: &str) -> Place {
        places.take(address.parse().expect("an address"))
    }

    #[test]
    fn each_client_has_its_own_places_and_gets_them_back() {
        let places = places(2);
        let kept = [take(&places, "192.0.2.1"), take(&places, "192.0.2.1")];
        assert!(kept.iter().all(|place| place.standing() == Standing::Within));
        let third = take(&places, "192.0.2.1");
        assert_eq!(third.standing(), Standing::Over);
        assert_eq!(take(&places, "192.0.2.2").standing(), Standing::Within);
        let client = "192.0.2.1".parse().expect("an address");
        assert_eq!(places.standing(client), Standing::Over);
        let [kept, gone] = kept;
        drop(gone);
        assert_eq!(places.standing(client), Standing::Within, "the third has room now");
        drop((kept, third));
        assert!(places.taken().is_empty(), "nobody is remembered who has none");
        assert_eq!(take(&places, "192.0.2.1").standing(), Standing::Within);
    }

    #[test]
    fn who_goes_on_regardless_is_told_no_longer() {
        let places = places(2);
        let standings: Vec<_> = (0..5).map(|_| take(&places, "192.0.2.1")).collect();
        let standings: Vec<_> = standings.iter().map(Place::standing).collect();
        let (within, over) = (Standing::Within, Standing::Over);
        assert_eq!(standings, [within, within, over, over, Standing::FarOver]);
    }

    #[test]
    fn an_ipv6_client_is_its_network_of_64_bits() {
        let places = places(1);
        let _one = take(&places, "2001:db8::1");
        assert_eq!(take(&places, "2001:db8::ffff:1").standing(), Standing::Over);
        assert_eq!(take(&places, "2001:db8:0:1::1").standing(), Standing::Within);
        let _four = take(&places, "::ffff:192.0.2.1");
        assert_eq!(take(&places, "192.0.2.1").standing(), Standing::Over);
        assert_eq!(take(&places, "::ffff:192.0.2.2").standing(), Standing::Within);
    }
}
