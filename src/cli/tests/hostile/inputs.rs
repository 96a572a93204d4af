//! Inputs: the files of a corpus as they are, then mutations of them, each by its seed and number.

use std::fs;
use std::path::Path;

/// No input is longer, in bytes.
const LONGEST: usize = 200_000;

/// Pieces that parsers care about.
const WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "'",
    "\"",
    "\\",
    ":",
    "=",
    ",",
    "|",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "- ",
    "  ",
    "&a ",
    "*a",
    "<<: ",
    "!vault ",
    "!unsafe ",
    "? ",
    "---\n",
    "...\n",
    "[0:999999999]",
    "[a:z]",
    ":&",
    ":!",
    "~",
    "99999999999999999999",
    "-1",
    "1e999",
    "0o17",
    "0x1f",
    "1:59:59",
    ".inf",
    "NaN",
    "é",
    "\u{feff}",
    "\u{202e}",
    "𝄞",
    "%",
    "$",
    "*",
    "?",
    "#",
    "@",
    "/",
    "..",
    "* 10**9",
    "range(10**12)",
    "**",
    "//",
    "~",
    " if ",
    " else ",
    " for x in ",
    " in ",
    " is ",
    " not ",
    "loop",
    "lookup(",
    "map(",
    "[::-1]",
    "join",
    "omit",
    "true",
    "null",
    "[section:vars]",
    "children",
    "all",
    "when: ",
    "loop: ",
    "vars: ",
    "tasks: ",
    "block: ",
    "-o ",
    "-J ",
    "|1|",
    "ssh-ed25519 ",
    "[host]:22 ",
    "\"type\":",
    "\u{7f}",
];

/// What one target is fed.
pub(crate) struct Inputs {
    corpus: Vec<Vec<u8>>,
    seed: u64,
}

impl Inputs {
    /// The inputs of a target: its corpus are the files below `corpus/TARGET/`.
    pub(crate) fn new(target: &str, seed: u64) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/corpus").join(target);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        let corpus = files.iter().flat_map(|file| pieces(&fs::read(file).expect("readable"))).collect();
        Self { corpus, seed }
    }

    /// So many inputs are the corpus itself.
    pub(crate) fn given(&self) -> u64 {
        self.corpus.len() as u64
    }

    /// The input of a number.
    pub(crate) fn input(&self, round: u64) -> Vec<u8> {
        if let Some(file) = usize::try_from(round).ok().and_then(|round| self.corpus.get(round)) {
            return file.clone();
        }
        let mut chance = Chance(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let mut bytes = self.corpus[chance.below(self.corpus.len())].clone();
        for _ in 0..=chance.below(6) {
            self.change(&mut bytes, &mut chance);
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, chance: &mut Chance) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + chance.below(24)).min(bytes.len());
        match chance.below(10) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.insert(at, u8::try_from(chance.below(256)).unwrap_or(0)),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let other = &self.corpus[chance.below(self.corpus.len())];
                let from = chance.below(other.len() + 1);
                let to = (from + chance.below(200)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            5 => {
                let piece = bytes[at..end].to_vec();
                let times = [2, 10, 300, 5000][chance.below(4)];
                drop(bytes.splice(at..at, piece.repeat(times)));
            }
            6 => {
                let times = [1, 3, 100, 20_000][chance.below(4)];
                let word = WORDS[chance.below(WORDS.len())];
                drop(bytes.splice(at..at, word.as_bytes().repeat(times)));
            }
            _ => drop(bytes.splice(at..end, WORDS[chance.below(WORDS.len())].bytes())),
        }
    }
}

/// A file is one input, or several between lines of `=====`, in which `«300×text»` stands for the text 300 times.
fn pieces(file: &[u8]) -> Vec<Vec<u8>> {
    match std::str::from_utf8(file) {
        Ok(text) => text.split("\n=====\n").map(|piece| unfolded(piece).into_bytes()).collect(),
        Err(_) => vec![file.to_vec()],
    }
}

fn unfolded(text: &str) -> String {
    let mut unfolded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('«') {
        let (folded, after) = after.split_once('»').expect("the end of a repetition");
        let (times, piece) = folded.split_once('×').expect("how often it is repeated");
        unfolded += before;
        unfolded += &piece.repeat(times.parse().expect("a number"));
        rest = after;
    }
    unfolded + rest
}

/// Numbers by chance (SplitMix64): the same ones for the same seed, everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap_or(0)
    }
}
