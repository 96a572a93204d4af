//! Random choices, without a seed from the operating system, with a seed exactly as Python's `random.Random` makes them.

use std::io::Read as _;

use minijinja::{Error, State, Value};
use sha2::{Digest as _, Sha512};

use super::arguments::{Arguments, Builtin};
use super::python::{self, as_integer, fail, integer_value, items_of, list};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[("random", random), ("shuffle", shuffle)];

/// A source of random numbers.
pub(crate) enum Random {
    System,
    Seeded(Box<Twister>),
}

/// The Mersenne Twister.
pub(crate) struct Twister {
    state: [u32; 624],
    index: usize,
}

impl Twister {
    fn new(seed: u32) -> Self {
        let mut state = [0; 624];
        state[0] = seed;
        for index in 1..624_u32 {
            let previous: u32 = state[index as usize - 1];
            state[index as usize] = 1_812_433_253_u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(index);
        }
        Self { state, index: 624 }
    }

    fn from_key(key: &[u32]) -> Self {
        let mut twister = Self::new(19_650_218);
        let state = &mut twister.state;
        let (mut i, mut j) = (1, 0);
        for _ in 0..key.len().max(624) {
            let previous = state[i - 1];
            let position = u32::try_from(j).unwrap_or(0);
            state[i] = (state[i] ^ (previous ^ (previous >> 30)).wrapping_mul(1_664_525)).wrapping_add(key[j]).wrapping_add(position);
            i += 1;
            j = (j + 1) % key.len();
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
        }
        for _ in 0..623 {
            let previous = state[i - 1];
            let position = u32::try_from(i).unwrap_or(0);
            state[i] = (state[i] ^ (previous ^ (previous >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(position);
            i += 1;
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        twister
    }

    fn next(&mut self) -> u32 {
        if self.index >= 624 {
            for k in 0..624 {
                let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % 624] & 0x7fff_ffff);
                let mixed = self.state[(k + 397) % 624] ^ (y >> 1);
                self.state[k] = if y & 1 == 0 { mixed } else { mixed ^ 0x9908_b0df };
            }
            self.index = 0;
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }
}

impl Random {
    /// Seeds with text or an integer as `random.Random(seed)` does; other seeds count by their text.
    pub(crate) fn seeded(seed: &Value) -> Self {
        let bytes: Vec<u8> = match as_integer(seed) {
            Some(number) => number.unsigned_abs().to_be_bytes().to_vec(),
            None => {
                let text = python::text(seed);
                text.bytes().chain(Sha512::digest(text.as_bytes())).collect()
            }
        };
        let mut key: Vec<u32> = bytes.rchunks(4).map(|chunk| chunk.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte))).collect();
        while key.len() > 1 && key.last() == Some(&0) {
            key.pop();
        }
        Self::Seeded(Box::new(Twister::from_key(&key)))
    }

    fn word(&mut self) -> Result<u32, Error> {
        match self {
            Self::Seeded(twister) => Ok(twister.next()),
            Self::System => {
                let mut bytes = [0; 4];
                std::fs::File::open("/dev/urandom")
                    .and_then(|mut source| source.read_exact(&mut bytes))
                    .map_err(|error| fail(format!("no random numbers: {error}")))?;
                Ok(u32::from_ne_bytes(bytes))
            }
        }
    }

    fn bits(&mut self, count: u32) -> Result<u64, Error> {
        let mut number = 0;
        let mut shift = 0;
        while shift < count {
            let take = (count - shift).min(32);
            number |= u64::from(self.word()? >> (32 - take)) << shift;
            shift += 32;
        }
        Ok(number)
    }

    /// A number from 0 to below the limit.
    pub(crate) fn below(&mut self, limit: u64) -> Result<u64, Error> {
        let bits = u64::BITS - limit.leading_zeros();
        loop {
            let number = self.bits(bits)?;
            if number < limit {
                return Ok(number);
            }
        }
    }

    /// One index of a list of that length.
    pub(crate) fn index(&mut self, length: usize) -> Result<usize, Error> {
        if length == 0 {
            return Err(fail("Cannot choose from an empty sequence"));
        }
        self.below(length as u64).map(|index| usize::try_from(index).unwrap_or(0))
    }

    /// The list in random order.
    pub(crate) fn shuffle(&mut self, items: &mut [Value]) -> Result<(), Error> {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1)?;
            items.swap(last, other);
        }
        Ok(())
    }
}

fn random(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [end, start, step, seed] = call.bind(["end", "start", "step", "seed"])?;
    let mut source = seed.some().map_or(Random::System, |seed| Random::seeded(&seed));
    let end = end.required()?;
    if let Some(end) = as_integer(&end) {
        let (start, step) = (i128::from(start.integer(0)?), i128::from(step.integer(1)?));
        let step = if step == 0 { 1 } else { step };
        let count = if step > 0 { (end - start + step - 1) / step } else { (end - start + step + 1) / step };
        let count =
            u64::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| fail(format!("empty range for random ({start}, {end})")))?;
        return Ok(integer_value(start + step * i128::from(source.below(count)?)));
    }
    if start.some().is_some() || step.some().is_some() {
        return Err(fail("start and step can only be used with integer values"));
    }
    let items = items_of(&end).map_err(|_| fail("random can only be used on sequences and integers"))?;
    Ok(items[source.index(items.len())?].clone())
}

fn shuffle(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, seed] = call.bind(["mylist", "seed"])?;
    let mut items = items_of(&value.required()?)?;
    let seed = seed.some().filter(python::truth);
    seed.map_or(Random::System, |seed| Random::seeded(&seed)).shuffle(&mut items)?;
    Ok(list(items))
}
