//! Message ids: 16 bytes, big-endian: shard u16 · batch u48 · check u48 · index u16.
//!
//! The check is the low 48 bits of SipHash-2-4 over the first eight bytes, with the key of the data
//! directory. It only hinders guessing; the tenant of a message is always compared as well.

use siphasher::sip::SipHasher24;

/// Batch numbers are below it.
pub const BATCH_END: u64 = 1 << 48;

const LOW_48: u64 = BATCH_END - 1;

/// The id of one message; it says where the message lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub [u8; 16]);

/// What an id says, once its check was found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub shard: u16,
    pub batch: u64,
    pub index: u16,
}

/// The check of all ids of one batch (48 bits); computed once a batch.
pub fn batch_hash(key: &[u8; 16], shard: u16, batch: u64) -> u64 {
    SipHasher24::new_with_key(key).hash(&prefix(shard, batch)) & LOW_48
}

impl MessageId {
    /// `hash` is `batch_hash` of the same shard and batch.
    #[inline]
    pub fn new(hash: u64, shard: u16, batch: u64, index: u16) -> Self {
        debug_assert!(hash <= LOW_48);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&prefix(shard, batch));
        bytes[8..].copy_from_slice(&(hash << 16 | u64::from(index)).to_be_bytes());
        Self(bytes)
    }

    /// Takes any 16 bytes; `place` says whether they are an id.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Where the message lives, or none if the check does not fit the key.
    pub fn place(&self, key: &[u8; 16]) -> Option<Place> {
        let high = u64::from_be_bytes(self.0[..8].try_into().expect("8 of 16 bytes"));
        let low = u64::from_be_bytes(self.0[8..].try_into().expect("8 of 16 bytes"));
        let place = Place {
            shard: (high >> 48) as u16,
            batch: high & LOW_48,
            index: low as u16,
        };
        (batch_hash(key, place.shard, place.batch) == low >> 16).then_some(place)
    }

    /// Whether the check fits the key.
    pub fn verify(&self, key: &[u8; 16]) -> bool {
        self.place(key).is_some()
    }
}

fn prefix(shard: u16, batch: u64) -> [u8; 8] {
    assert!(batch < BATCH_END, "batch {batch} does not fit 48 bits");
    (u64::from(shard) << 48 | batch).to_be_bytes()
}
