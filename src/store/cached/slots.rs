//! Which copy gives way to a new one.

use crate::text::TokenId;

/// One place for each copy. A new one takes a place that is free, then one that was never used, and then, in turn, one
/// that somebody has.
///
/// Who was used last is not looked at: a copy is read anew after its age anyway, so the one that was kept first has the
/// least of its life left, and to note uses would be a write for every request.
pub(super) struct Slots {
    ids: Vec<TokenId>,
    free: Vec<u32>,
    turn: usize,
    capacity: usize,
}

impl Slots {
    /// Nothing is allocated ahead.
    pub(super) fn new(capacity: usize) -> Self {
        Self { ids: Vec::new(), free: Vec::new(), turn: 0, capacity }
    }

    /// A place for this login, and the login that had it; `None` where there are no places at all.
    pub(super) fn take(&mut self, id: TokenId) -> Option<(u32, Option<TokenId>)> {
        if let Some(slot) = self.free.pop() {
            self.ids[slot as usize] = id;
            return Some((slot, None));
        }
        if self.ids.len() < self.capacity {
            self.ids.push(id);
            return Some((u32::try_from(self.ids.len() - 1).ok()?, None));
        }
        let slot = self.turn;
        let before = std::mem::replace(self.ids.get_mut(slot)?, id);
        self.turn = (slot + 1) % self.capacity;
        Some((u32::try_from(slot).ok()?, Some(before)))
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
    }

    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.free.clear();
        self.turn = 0;
    }
}
