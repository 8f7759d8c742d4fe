//! The last decisions about a key, for whoever asks why.

const KEPT: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Granted,
    Waiting,
    Admitted,
    Impeded,
    Expired,
}

impl What {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Waiting => "waiting",
            Self::Admitted => "admitted",
            Self::Impeded => "impeded",
            Self::Expired => "expired",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    pub what: What,
    /// Error number of `Impeded`.
    pub code: u16,
    pub seats: u16,
    /// Of the key, just after.
    pub used: u32,
}

/// A ring, made with the first decision: an unused key costs a pointer.
#[derive(Default)]
pub(super) struct Decisions(Option<Box<Ring>>);

struct Ring {
    entries: [(u64, Decision); KEPT],
    count: usize,
}

impl Decisions {
    #[inline]
    pub fn push(&mut self, at_ms: u64, decision: Decision) {
        let ring = self.0.get_or_insert_with(|| {
            Box::new(Ring {
                entries: [(0, decision); KEPT],
                count: 0,
            })
        });
        ring.entries[ring.count % KEPT] = (at_ms, decision);
        ring.count += 1;
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Decision)> + '_ {
        self.0.iter().flat_map(|ring| {
            (ring.count.saturating_sub(KEPT)..ring.count).map(|at| ring.entries[at % KEPT])
        })
    }
}
