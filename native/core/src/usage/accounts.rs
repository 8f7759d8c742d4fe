//! Accounts: their names, in order, and whose sub-accounts they are.

use super::NONE;
use crate::limits::TENANT_DEPTH;
use crate::name_map::{NameHash, NameMap};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

pub(super) struct Account {
    pub name: Box<[u8]>,
    /// Counters it has, in the store or not yet.
    pub counters: u32,
    /// Event keys it has in the window.
    pub event_keys: u32,
    parent: u32,
    children: Vec<u32>,
}

pub(super) struct Accounts {
    all: Vec<Account>,
    by_name: NameMap<u32>,
    in_order: BTreeMap<Box<[u8]>, u32>,
}

impl Accounts {
    pub fn new(hash: NameHash) -> Self {
        Self {
            all: Vec::new(),
            by_name: NameMap::with_hasher(hash),
            in_order: BTreeMap::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    #[inline]
    pub fn get(&self, account: u32) -> &Account {
        &self.all[account as usize]
    }

    #[inline]
    pub fn get_mut(&mut self, account: u32) -> &mut Account {
        &mut self.all[account as usize]
    }

    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The account of that name, made when it is not known.
    pub fn open(&mut self, name: &[u8]) -> u32 {
        if let Some(account) = self.find(name) {
            return account;
        }
        let account = self.all.len() as u32;
        self.all.push(Account {
            name: name.into(),
            counters: 0,
            event_keys: 0,
            parent: NONE,
            children: Vec::new(),
        });
        self.by_name.insert(name.into(), account);
        self.in_order.insert(name.into(), account);
        account
    }

    /// Accounts by name, after one.
    pub fn after(&self, name: Option<&[u8]>) -> impl Iterator<Item = u32> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.in_order.range::<[u8], _>((from, Bound::Unbounded));
        range.map(|(_, account)| *account)
    }

    /// The last account by name before one.
    pub fn before(&self, name: &[u8]) -> Option<u32> {
        let range = self
            .in_order
            .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(name)));
        range.last().map(|(_, account)| *account)
    }

    /// Whether the account had another parent before.
    pub fn set_parent(&mut self, account: u32, parent: Option<u32>) -> bool {
        let parent = parent.unwrap_or(NONE);
        let before = std::mem::replace(&mut self.get_mut(account).parent, parent);
        if before == parent {
            return false;
        }
        if before != NONE {
            let children = &mut self.get_mut(before).children;
            children.retain(|child| *child != account);
        }
        if parent != NONE {
            self.get_mut(parent).children.push(account);
        }
        true
    }

    pub fn is_parent(&self, account: u32) -> bool {
        !self.get(account).children.is_empty()
    }

    /// Its parent, the parent's parent and so on, as far as sub-accounts are counted.
    pub fn ancestors(&self, account: u32) -> impl Iterator<Item = u32> {
        let mut at = account;
        let mut left = TENANT_DEPTH;
        std::iter::from_fn(move || {
            at = self.get(at).parent;
            left = left.checked_sub(1)?;
            // Parents may have been configured in a circle.
            (at != NONE && at != account).then_some(at)
        })
    }

    /// The account and its sub-accounts, as deep as they are counted, ascending.
    pub fn family(&self, account: u32) -> Vec<u32> {
        let mut family = vec![account];
        let mut open = VecDeque::from([(account, 0)]);
        while let Some((at, depth)) = open.pop_front() {
            if depth < TENANT_DEPTH {
                let children = self.get(at).children.iter().filter(|at| **at != account);
                family.extend(children.clone());
                open.extend(children.map(|child| (*child, depth + 1)));
            }
        }
        family.sort_unstable();
        // A circle beneath it comes back to the same accounts.
        family.dedup();
        family
    }
}
