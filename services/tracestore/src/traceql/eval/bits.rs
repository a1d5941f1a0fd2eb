//! Sets of rows, or of traces, of one chunk. Used by `tables`, `masks` and `pipeline`.

/// A set of numbers below a bound, one bit each.
#[derive(Clone, Debug)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// The set of none of `len` numbers.
    pub(super) fn none(len: usize) -> Self {
        Bits(vec![0; len.div_ceil(64)])
    }

    /// The set of all of `len` numbers, and perhaps some beyond.
    pub(super) fn all(len: usize) -> Self {
        Bits(vec![u64::MAX; len.div_ceil(64)])
    }

    /// The set whose bits are these words.
    pub(super) fn from_words(words: Vec<u64>) -> Self {
        Bits(words)
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.0[number as usize / 64] >> (number % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, number: u32) {
        self.0[number as usize / 64] |= 1 << (number % 64);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The numbers in the set, in order.
    pub(super) fn iter(&self) -> Ones<'_> {
        let (open, words) = self.0.split_first().unwrap_or((&0, &[]));
        Ones {
            open: *open,
            base: 0,
            words,
        }
    }

    pub(super) fn and(mut self, other: &Bits) -> Self {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(word, other)| *word &= other);
        self
    }

    pub(super) fn or(mut self, other: &Bits) -> Self {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(word, other)| *word |= other);
        self
    }
}

/// The numbers in a set, in order.
#[derive(Clone)]
pub(super) struct Ones<'a> {
    /// What is left of the word at hand, which stands for the 64 numbers from `base`.
    open: u64,
    base: u32,
    words: &'a [u64],
}

impl Iterator for Ones<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.open == 0 {
            (self.open, self.words) = self
                .words
                .split_first()
                .map(|(open, words)| (*open, words))?;
            self.base += 64;
        }
        let bit = self.open.trailing_zeros();
        self.open &= self.open - 1;
        Some(self.base + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut bits = Bits::none(200);
        assert!(bits.is_empty());
        for number in [0, 63, 64, 130, 199] {
            bits.insert(number);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 130, 199]);
        assert!(bits.has(64) && !bits.has(65));
        let mut other = Bits::none(200);
        other.insert(64);
        other.insert(65);
        assert_eq!(bits.clone().and(&other).iter().collect::<Vec<_>>(), [64]);
        assert_eq!(bits.or(&other).iter().count(), 6);
        assert_eq!(Bits::none(0).iter().next(), None);
    }
}
