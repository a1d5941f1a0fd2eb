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
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + Clone + '_ {
        self.0
            .iter()
            .zip((0..).step_by(64))
            .flat_map(|(word, base)| {
                let mut open = *word;
                std::iter::from_fn(move || {
                    let bit = (open != 0).then(|| open.trailing_zeros())?;
                    open &= open - 1;
                    Some(base + bit)
                })
            })
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
