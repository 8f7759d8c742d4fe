//! Whose the messages in memory are: accounts by number, so that a batch says it in two bytes a
//! message, and in none where all of its messages are of one account.
//!
//! An account has its number while a batch or a tenant's node holds it, or while it counted something
//! in this exchange.

use super::usage::Tally;
use crate::name_map::{NameHash, NameMap};

pub type AccountId = u32;

#[derive(Debug)]
pub struct Account {
    pub name: Box<[u8]>,
    /// What it counted in this exchange.
    pub tally: Tally,
    /// Batches and nodes that hold it.
    refs: u32,
    is_touched: bool,
    /// The batch that was filled last with messages of it, and its place in that one's list.
    place: (u64, u16),
    /// The frame that took of its caps last, and the place of its lease.
    lease: (u64, u32),
}

#[derive(Debug)]
pub struct Accounts {
    ids: NameMap<AccountId>,
    entries: Vec<Account>,
    free: Vec<AccountId>,
    /// Those that counted something in this exchange, in order.
    touched: Vec<AccountId>,
}

impl Accounts {
    pub fn new(names: NameHash) -> Self {
        Self {
            ids: NameMap::with_hasher(names),
            entries: Vec::new(),
            free: Vec::new(),
            touched: Vec::new(),
        }
    }

    pub fn get(&self, id: AccountId) -> &Account {
        &self.entries[id as usize]
    }

    /// Its tally of this exchange.
    #[inline]
    pub fn tally(&mut self, id: AccountId) -> &mut Tally {
        let account = &mut self.entries[id as usize];
        if !account.is_touched {
            account.is_touched = true;
            self.touched.push(id);
        }
        &mut account.tally
    }

    /// The same of a name.
    pub fn tally_of(&mut self, name: &[u8]) -> &mut Tally {
        let id = self.id_of(name);
        self.tally(id)
    }

    /// The number of a name; the caller holds it or counts something.
    fn id_of(&mut self, name: &[u8]) -> AccountId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let account = Account {
            name: name.into(),
            tally: Tally::default(),
            refs: 0,
            is_touched: false,
            place: (0, 0),
            lease: (0, 0),
        };
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = account;
            id
        } else {
            self.entries.push(account);
            self.entries.len() as AccountId - 1
        };
        self.ids.insert(name.into(), id);
        id
    }

    /// A node holds the account of that name until `release`.
    pub fn hold(&mut self, name: &[u8]) -> AccountId {
        let id = self.id_of(name);
        self.entries[id as usize].refs += 1;
        id
    }

    pub fn release(&mut self, id: AccountId) {
        let account = &mut self.entries[id as usize];
        account.refs -= 1;
        self.forget_unused(id);
    }

    fn forget_unused(&mut self, id: AccountId) {
        let account = &mut self.entries[id as usize];
        if account.refs == 0 && !account.is_touched {
            let name = std::mem::take(&mut account.name);
            self.ids.remove(&name);
            self.free.push(id);
        }
    }

    /// Its place in the list of the batch that is being filled, which holds it from now on.
    #[inline]
    pub fn place_in(&mut self, batch: u64, owners: &mut Owners, id: AccountId) -> u16 {
        let account = &mut self.entries[id as usize];
        if account.place.0 != batch {
            account.place = (batch, owners.accounts.len() as u16);
            account.refs += 1;
            owners.accounts.push(id);
        }
        account.place.1
    }

    /// The place of its lease in that frame; `next` if it has none yet.
    pub fn lease_place(&mut self, id: AccountId, frame: u64, next: usize) -> usize {
        let account = &mut self.entries[id as usize];
        if account.lease.0 != frame {
            account.lease = (frame, next as u32);
        }
        account.lease.1 as usize
    }

    /// The same of a name.
    pub fn place_of(&mut self, batch: u64, owners: &mut Owners, name: &[u8]) -> u16 {
        let id = self.id_of(name);
        self.place_in(batch, owners, id)
    }

    /// The batch is no longer known.
    pub fn release_all(&mut self, owners: &Owners) {
        for &id in &owners.accounts {
            self.release(id);
        }
    }

    /// Those that counted something, in order; `finish` forgets what they counted.
    pub fn touched(&self) -> impl Iterator<Item = &Account> {
        self.touched.iter().map(|&id| self.get(id))
    }

    pub fn finish(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let account = &mut self.entries[id as usize];
            account.tally = Tally::default();
            account.is_touched = false;
            self.forget_unused(id);
        }
    }

    /// Memory it holds, bytes; names as if each took 32.
    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Account>()
            + self.ids.capacity() * (size_of::<(Box<[u8]>, AccountId)>() + 1)
            + self.ids.len() * 64
    }

    /// For tests: nothing is kept that nobody holds, and `refs` says how many hold each.
    pub fn check(&self, refs: &std::collections::BTreeMap<AccountId, u32>) {
        assert!(self.touched.is_empty(), "what was counted is written");
        let used = self.entries.len() - self.free.len();
        assert_eq!(
            (self.ids.len(), refs.len()),
            (used, used),
            "accounts in use"
        );
        for (name, id) in &self.ids {
            let account = self.get(*id);
            assert_eq!(account.name, *name);
            assert_eq!(Some(&account.refs), refs.get(id), "who holds {name:?}");
        }
    }
}

/// Whose each message of a batch is.
#[derive(Debug, Default)]
pub struct Owners {
    accounts: Vec<AccountId>,
    /// By index; empty: all are of the first account.
    places: Vec<u16>,
}

impl Owners {
    pub fn grow(&mut self, length: usize) {
        if !self.places.is_empty() {
            self.places.resize(length, 0);
        }
    }

    /// The message at `index` of a batch of `length` so far is of the account at that place.
    #[inline]
    pub fn put(&mut self, index: u16, place: u16, length: usize) {
        if self.places.is_empty() {
            if place == 0 {
                return;
            }
            self.places.resize(length, 0);
        }
        self.places[usize::from(index)] = place;
    }

    /// Of an accepted message.
    #[inline]
    pub fn account(&self, index: u16) -> AccountId {
        let place = self.places.get(usize::from(index)).copied();
        self.accounts[usize::from(place.unwrap_or(0))]
    }

    pub fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    pub fn memory_bytes(&self) -> usize {
        4 * self.accounts.capacity() + 2 * self.places.capacity()
    }
}
