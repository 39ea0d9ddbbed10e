//! A bank in a file: blocks of examples in two slots each, read ahead and written back beside the visits.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf, absolute};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{ActivationBank, Layout};
use crate::machine::crc::Crc;
use crate::machine::file::{Place, format, io_at, sync_folder};
use crate::machine::linalg::matrix::filled;
use crate::{Error, Result, Scalar};

/// An activation bank in a file, for one that is larger than memory; see
/// [`bank_file`](crate::NetworkBuilder::bank_file).
///
/// # What is in the file
///
/// The examples lie in blocks of so many consecutive ones; an epoch goes block by block, and a thread of its own reads the next
/// ones and writes the last one back meanwhile, so at most three are in memory. The file is twice the size of the bank: every
/// block has two slots that take its versions in turn, each with a number that rises and a CRC-32.
///
/// # What is promised
///
/// * **A process that ends at any point**, by `kill -9` or otherwise, leaves every block whole: as it was before its last visit
///   or after it, some blocks one, some the other.
/// * **A loss of power** as well, where the disk keeps what it has acknowledged: an epoch begins and ends with a
///   synchronisation, so that no slot is written over before its block's other one is on disk.
/// * A file that is not a bank of this network's shape, method and data, or that was cut or changed, is [`Error::Format`]
///   before anything changes, and is never written to. Opening reads all of it. A change in one slot of a file whose last epoch
///   was cut short looks like a write that was cut short; the block's other version is used then.
/// * A file has one writer: it is locked while a network has it open, and another gets [`Error::BankInUse`].
/// * A file that was deleted, replaced or cut between two fits is an error of the second, [`Error::Io`] or [`Error::Format`]; the
///   network lets go of it, and the next fit opens the file that is there then, or makes one.
///
/// Parameters are not in the file. A network that goes on with it has none of the updates that
/// [`visited_at`](ActivationBank::visited_at) counts unless it is the one that wrote them.
#[derive(Debug)]
pub struct BankFile<T> {
    path: PathBuf,
    file: Arc<File>,
    /// Held by whoever moves the file's position.
    turn: Mutex<()>,
    plan: Plan,
    /// Which slot of each block holds its newest version, and that version's number.
    newest: Vec<(usize, u64)>,
    /// Whether what is in it led to a divergence, and could not be taken out.
    stale: bool,
    scalar: PhantomData<T>,
}

/// Blocks in memory: one that trains, one that was read, and one that is being written or read.
const BUFFERS: usize = 3;
const MAGIC: &[u8; 8] = b"decoBANK";
const VERSION: u64 = 1;
/// Header and slots begin on multiples of this.
const PAGE: u128 = 4096;
/// Bytes before a slot's records: version number, block, bytes of the records (0 when it was never visited), CRC-32 of these and
/// the records, and four of no use.
const SEAL: usize = 32;
/// The last bytes of the header: whether all slots are whole, or one may be half written.
const COMPLETE: &[u8; 8] = b"complete";
const TRAINING: &[u8; 8] = b"training";
/// Bytes written before they are sent on to the disk, so that the end of an epoch has little left to wait for.
const FLUSH: usize = 64 << 20;

/// What a file holds, and where.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) layout: Layout,
    pub(crate) examples: usize,
    pub(crate) data_key: u64,
    /// Examples in a block; the last may have fewer.
    pub(crate) block: usize,
}

impl Plan {
    fn blocks(&self) -> usize {
        self.examples.div_ceil(self.block)
    }

    /// Examples of block k.
    fn examples_of(&self, k: usize) -> usize {
        self.block.min(self.examples - k * self.block)
    }

    /// Everything that must agree before a file is read, by name.
    fn numbers(&self) -> Vec<(&'static str, u64)> {
        let layout = &self.layout;
        let mut numbers = vec![
            ("version of the format", VERSION),
            ("bytes of the network's scalar", layout.scalar as u64),
            ("bytes of a stored number", layout.width as u64),
            ("examples", self.examples as u64),
            ("fingerprint of the data", self.data_key),
            ("examples in a block", self.block as u64),
            ("state entries of the activation optimizer", layout.slots as u64),
            ("hidden layers", layout.layers() as u64),
        ];
        numbers.extend((1..=layout.layers()).map(|t| ("width of a hidden layer", layout.height(t) as u64)));
        numbers.push(("bytes of the activation optimizer's name", layout.rule.len() as u64));
        // Last, so that what else differs is named first: a file with multipliers serves a method without.
        numbers.push(("multipliers (1: kept)", u64::from(layout.multipliers)));
        numbers
    }

    /// The header but for its state, zeros behind what it says.
    fn header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        self.numbers().iter().for_each(|(_, value)| header.extend(value.to_le_bytes()));
        header.extend(self.layout.rule.as_bytes());
        header.resize(self.state_at() as usize, 0);
        header
    }

    /// Where the state stands: at the end of the header.
    fn state_at(&self) -> u64 {
        let numbers = 10 + self.layout.layers();
        let used = MAGIC.len() + 8 * numbers + self.layout.rule.len() + COMPLETE.len();
        (used.next_multiple_of(PAGE as usize) - COMPLETE.len()) as u64
    }

    /// Bytes of a whole header, of a slot and of the file.
    fn sizes(&self) -> (u128, u128, u128) {
        let header = u128::from(self.state_at()) + COMPLETE.len() as u128;
        let slot = (SEAL as u128 + self.layout.bytes(self.block.min(self.examples))).next_multiple_of(PAGE);
        (header, slot, header + 2 * slot * self.blocks() as u128)
    }

    /// Where a slot begins.
    fn slot(&self, k: usize, slot: usize) -> u64 {
        let (header, len, _) = self.sizes();
        (header + (2 * k + slot) as u128 * len) as u64
    }

    /// Fails unless the blocks fit into memory and the whole into a file.
    fn check(&self, limit: usize) -> Result<()> {
        let examples = self.examples.min(self.block.saturating_mul(BUFFERS));
        let rows = usize::try_from(self.layout.numbers()).unwrap_or(usize::MAX);
        let too_large = |bytes, examples, limit| Err(Error::BankTooLarge { bytes, rows, examples, limit });
        let bytes = self.layout.bytes(examples);
        if bytes > limit as u128 {
            return too_large(bytes, examples, limit as u128);
        }
        // What is within a limit is too small for these to overflow.
        match self.sizes().2 {
            bytes if bytes > i64::MAX as u128 => too_large(bytes, self.examples, i64::MAX as u128),
            _ => Ok(()),
        }
    }

    /// This plan, or the same with multipliers, whichever the header `found` is of.
    fn agree(&self, path: &Path, found: &[u8]) -> Result<Self> {
        let wide = Self { layout: self.layout.with_multipliers(), ..self.clone() };
        // Of the two errors the first, which is about the plan that was asked for.
        self.agree_wholly(path, found).map(|()| self.clone()).or_else(|error| match wide.agree_wholly(path, found) {
            Ok(()) => Ok(wide),
            Err(_) => Err(error),
        })
    }

    fn agree_wholly(&self, path: &Path, found: &[u8]) -> Result<()> {
        let format = |place: &str, expected: String, found: String| Err(format(path, place, expected, found));
        let Some(said) = found.strip_prefix(MAGIC) else {
            return format("its first bytes", "an activation bank".to_owned(), "something else".to_owned());
        };
        let words = said.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word));
        let mut words = words.fuse();
        for (name, expected) in self.numbers() {
            match words.next() {
                Some(word) if word == expected => {}
                Some(word) => return format(name, expected.to_string(), word.to_string()),
                None => return format(name, expected.to_string(), "the end of the file".to_owned()),
            }
        }
        if found != self.header() {
            let rule = if self.layout.rule.is_empty() { "none" } else { &self.layout.rule };
            return format("the activation optimizer", rule.to_owned(), "another, or none".to_owned());
        }
        Ok(())
    }
}

impl<T: Scalar> BankFile<T> {
    /// Opens the file, or makes it where there is none.
    ///
    /// # Errors
    /// [`Error::BankTooLarge`], [`Error::Io`], [`Error::NotAFile`], [`Error::Format`], [`Error::BankInUse`]; no file has changed
    /// then.
    pub(crate) fn open(path: &Path, plan: &Plan, limit: usize) -> Result<Self> {
        plan.check(limit)?;
        let place = Place::of(path)?;
        if place.found.is_some() { Self::open_there(path, plan, limit) } else { Self::make(path, &place, plan) }
    }

    fn open_there(path: &Path, plan: &Plan, limit: usize) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| io_at(path, error))?;
        // Before anything is read: from here on no other network changes it.
        lock(path, &file)?;
        let length = file.metadata().map_err(|error| io_at(path, error))?.len();
        let mut header = vec![0; plan.state_at().min(length) as usize];
        read_at(&file, 0, &mut header).map_err(|error| io_at(path, error))?;
        let plan = plan.agree(path, &header)?;
        plan.check(limit)?;
        let expected = plan.sizes().2;
        if u128::from(length) != expected {
            return Err(format(path, "its length", format!("{expected} bytes"), length.to_string()));
        }
        let mut own = Self::new(path, file, plan, Vec::new());
        own.find_newest()?;
        Ok(own)
    }

    /// Checks every slot. Where the last epoch was cut short one of a block's two may be half written.
    fn find_newest(&mut self) -> Result<()> {
        let mut state = [0; COMPLETE.len()];
        self.read_bytes(self.plan.state_at(), &mut state)?;
        if ![COMPLETE, TRAINING].contains(&&state) {
            return Err(format(&self.path, "the state of its last epoch", "one of two words", "neither"));
        }
        let mut buffer = filled("a part of the activation bank", 1 << 20, 0)?;
        let mut newest = Vec::with_capacity(self.plan.blocks());
        for k in 0..self.plan.blocks() {
            let slots = [self.check_slot(k, 0, &mut buffer)?, self.check_slot(k, 1, &mut buffer)?];
            let whole = slots.iter().flatten().count();
            if whole == 0 || (whole == 1 && state == *COMPLETE) {
                let found = format!("{} that does not", 2 - whole);
                return Err(format(&self.path, format!("block {k}"), "two versions whose checksum agrees", &found));
            }
            // Numbers begin with 1.
            let [first, second] = slots.map(Option::unwrap_or_default);
            newest.push(if second > first { (1, second) } else { (0, first) });
        }
        self.newest = newest;
        Ok(())
    }

    /// The number of the version in a slot, unless it is broken.
    fn check_slot(&self, k: usize, slot: usize, buffer: &mut [u8]) -> Result<Option<u64>> {
        let start = self.plan.slot(k, slot);
        let mut bytes = [0; SEAL];
        self.read_bytes(start, &mut bytes)?;
        let Some(seal) = Seal::read(&bytes, k, self.plan.layout.bytes(self.plan.examples_of(k))) else {
            return Ok(None);
        };
        let mut crc = seal.begin();
        for at in (0..seal.records).step_by(buffer.len()) {
            let (piece, _) = buffer.split_at_mut(buffer.len().min(seal.records - at));
            self.read_bytes(start + (SEAL + at) as u64, piece)?;
            crc.add(piece);
        }
        Ok((crc.sum() == seal.crc).then_some(seal.number))
    }

    /// Makes the file beside its place, and moves it there when it is whole.
    fn make(path: &Path, place: &Place, plan: &Plan) -> Result<Self> {
        let draft = place.draft(".new")?;
        let failed = |error| io_at(path, error);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&draft);
        let file = options.map_err(failed)?;
        lock(path, &file)?;
        // One that was left half made is made anew; anything else is not ours.
        let length = file.metadata().map_err(failed)?.len();
        let mut magic = [0; MAGIC.len()];
        if length > 0 && (read_at(&file, 0, &mut magic).is_err() || magic != *MAGIC) {
            return Err(format(&draft, "its first bytes", "an activation bank", "something else"));
        }
        // Another network was quicker.
        if path.exists() {
            let _ = fs::remove_file(&draft);
            return Err(Error::BankInUse { path: path.to_owned() });
        }
        let write = || {
            file.set_len(0)?;
            write_at(&file, 0, &[&plan.header()[..], COMPLETE].concat())?;
            // Sparse where the file system allows it: a block takes space when it is first written.
            file.set_len(plan.sizes().2 as u64)?;
            for k in 0..plan.blocks() {
                for slot in 0..2 {
                    write_at(&file, plan.slot(k, slot), &Seal::unvisited(slot as u64 + 1, k).bytes())?;
                }
            }
            file.sync_all()?;
            fs::rename(&draft, &place.path)?;
            sync_folder(&place.path)
        };
        if let Err(error) = write() {
            // It holds nothing: if it stays, it does no harm.
            let _ = fs::remove_file(&draft);
            return Err(failed(error));
        }
        let newest = vec![(1, 2); plan.blocks()];
        Ok(Self::new(path, file, plan.clone(), newest))
    }

    fn new(path: &Path, file: File, plan: Plan, newest: Vec<(usize, u64)>) -> Self {
        // The process may change its folder.
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        let (file, turn) = (Arc::new(file), Mutex::new(()));
        Self { path, file, turn, plan, newest, stale: false, scalar: PhantomData }
    }

    /// Fails unless the path still leads to this open file, and that is as long as it was.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub(crate) fn check_place(&self) -> Result<()> {
        let failed = |error| io_at(&self.path, error);
        let (there, own) = (fs::metadata(&self.path).map_err(failed)?, self.file.metadata().map_err(failed)?);
        if !same(&there, &own) {
            return Err(format(&self.path, "what is there", "the file that the network has open", "another"));
        }
        let (expected, found) = (self.plan.sizes().2, own.len());
        if u128::from(found) == expected {
            return Ok(());
        }
        Err(format(&self.path, "its length", format!("{expected} bytes"), found.to_string()))
    }

    /// Fails unless this open file is of that plan.
    ///
    /// # Errors
    /// [`Error::Format`], and [`Error::Io`] where what had diverged could not be taken out.
    pub(crate) fn check(&mut self, plan: &Plan) -> Result<()> {
        plan.agree(&self.path, &self.plan.header())?;
        if self.stale { self.forget() } else { Ok(()) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Examples, in all blocks together.
    pub fn examples(&self) -> usize {
        self.plan.examples
    }

    /// Examples in a block; the last may have fewer.
    pub fn block_examples(&self) -> usize {
        self.plan.block
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.plan.blocks()
    }

    /// Bytes of the bank: those that it would take in memory, half of those of the file.
    pub fn bytes(&self) -> u64 {
        self.plan.layout.bytes(self.plan.examples) as u64
    }

    /// Block k as a bank of its own, with the examples from k · [`block_examples`](Self::block_examples) on.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] for a block that was changed since, [`Error::OutOfMemory`].
    ///
    /// # Panics
    /// When k ≥ [`blocks`](Self::blocks).
    pub fn block(&self, k: usize) -> Result<ActivationBank<T>> {
        assert!(k < self.blocks(), "blocks are 0..{}, found {k}", self.blocks());
        let mut block = self.buffer()?;
        self.read(k, &mut block)?;
        Ok(block)
    }

    /// Room for any block.
    fn buffer(&self) -> Result<ActivationBank<T>> {
        let examples = self.plan.block.min(self.plan.examples);
        ActivationBank::new(self.plan.layout.clone(), examples, self.plan.data_key, usize::MAX)
    }

    /// Lends `visit` the blocks of `order` one after the other, each with its place in the order, and writes them back; a block
    /// whose visit fails is left as it was. A visit that breaks is the last.
    ///
    /// # Errors
    /// Those of `visit`, [`Error::Io`], [`Error::Format`], [`Error::OutOfMemory`].
    pub(crate) fn visit(
        &mut self,
        order: &[usize],
        mut visit: impl FnMut(usize, &mut ActivationBank<T>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let buffers = (0..BUFFERS.min(order.len())).map(|_| self.buffer()).collect::<Result<Vec<_>>>()?;
        self.begin()?;
        let path = self.path.clone();
        let own = &mut *self;
        let (ready, blocks) = channel();
        let (done, visited) = channel();
        let flow = thread::scope(|scope| {
            let thread = thread::Builder::new().name("decoupled-bank".to_owned());
            let serve = move || own.serve(order, buffers, &ready, &visited);
            let served = thread.spawn_scoped(scope, serve).map_err(|error| io_at(&path, error))?;
            let mut outcome = Ok(ControlFlow::Continue(()));
            for place in 0..order.len() {
                // The other thread ends early only with an error of its own.
                let Ok(mut block) = blocks.recv() else { break };
                outcome = visit(place, &mut block);
                if outcome.is_err() || done.send(block).is_err() || matches!(outcome, Ok(ControlFlow::Break(()))) {
                    break;
                }
            }
            // The other thread waits for blocks until this end of the channel is gone.
            drop(done);
            let served = served.join().unwrap_or_else(|panic| resume_unwind(panic));
            // The visits' error first: the thread's may only follow from it.
            outcome.and_then(|flow| served.map(|()| flow))
        })?;
        match flow {
            ControlFlow::Continue(()) => self.end(),
            // The other blocks may still have a slot that is not whole.
            ControlFlow::Break(()) => self.sync(),
        }
    }

    /// Reads and writes blocks beside the visits, and sends them on to the disk beside both: flushing waits for the disk, which
    /// neither reading nor writing has to.
    fn serve(
        &mut self,
        order: &[usize],
        buffers: Vec<ActivationBank<T>>,
        ready: &Sender<ActivationBank<T>>,
        visited: &Receiver<ActivationBank<T>>,
    ) -> Result<()> {
        // Without a queue: a request finds the flushing thread idle, or is not made.
        let (flush, flushes) = sync_channel(0);
        let file = Arc::clone(&self.file);
        let flushing = thread::Builder::new().name("decoupled-flush".to_owned());
        let flushing = flushing.spawn(move || flushes.iter().try_for_each(|()| file.sync_data()));
        let flushing = flushing.map_err(|error| io_at(&self.path, error))?;
        let outcome = self.turn_over(order, buffers, (ready, visited), &flush);
        drop(flush);
        let flushed = flushing.join().unwrap_or_else(|panic| resume_unwind(panic));
        outcome.and(flushed.map_err(|error| io_at(&self.path, error)))
    }

    /// Reads ahead into as many buffers as there are, then writes each block that comes back and reads another into its place.
    fn turn_over(
        &mut self,
        order: &[usize],
        buffers: Vec<ActivationBank<T>>,
        (ready, visited): (&Sender<ActivationBank<T>>, &Receiver<ActivationBank<T>>),
        flush: &SyncSender<()>,
    ) -> Result<()> {
        let mut next = order.iter();
        for (mut block, &k) in buffers.into_iter().zip(&mut next) {
            self.read(k, &mut block)?;
            // Nobody takes it after an error of the visits, and then none comes back.
            let _ = ready.send(block);
        }
        let mut unflushed = 0;
        for &k in order {
            let Ok(mut block) = visited.recv() else { break };
            self.write(k, &block)?;
            unflushed += block.data.len();
            // If a flush is under way, ask again after the next block.
            if unflushed >= FLUSH && flush.try_send(()).is_ok() {
                unflushed = 0;
            }
            if let Some(&k) = next.next() {
                self.read(k, &mut block)?;
                let _ = ready.send(block);
            }
        }
        Ok(())
    }

    fn read(&self, k: usize, block: &mut ActivationBank<T>) -> Result<()> {
        block.examples = self.plan.examples_of(k);
        block.data.resize(block.examples * self.plan.layout.record(), 0);
        let (slot, number) = self.newest(k);
        let start = self.plan.slot(k, slot);
        let mut bytes = [0; SEAL];
        self.read_bytes(start, &mut bytes)?;
        let mut whole = false;
        if let Some(seal) = Seal::read(&bytes, k, block.data.len() as u128) {
            let mut crc = seal.begin();
            // Never visited: nothing has been written behind the seal.
            if seal.records == 0 {
                block.data.fill(0);
            } else {
                self.read_bytes(start + SEAL as u64, &mut block.data)?;
                crc.add(&block.data);
            }
            whole = (crc.sum(), number) == (seal.crc, seal.number);
        }
        let expected = "the version that was written last";
        if whole { Ok(()) } else { Err(format(&self.path, format!("block {k}"), expected, "something else")) }
    }

    fn write(&mut self, k: usize, block: &ActivationBank<T>) -> Result<()> {
        let (slot, number) = self.next(k);
        let mut seal = Seal { records: block.data.len(), ..Seal::unvisited(number, k) };
        let mut crc = seal.begin();
        crc.add(&block.data);
        seal.crc = crc.sum();
        // The seal last: until it is written this slot is broken, or older than the block's other one.
        self.write_bytes(self.plan.slot(k, slot) + SEAL as u64, &block.data)?;
        self.seal(k, slot, &seal)
    }

    #[expect(clippy::indexing_slicing, reason = "one for each block of the plan, whose blocks are asked for")]
    fn newest(&self, k: usize) -> (usize, u64) {
        self.newest[k]
    }

    /// Where the next version of block k goes, and its number.
    fn next(&self, k: usize) -> (usize, u64) {
        let (slot, number) = self.newest(k);
        // Never over the newest, which stays if this write is cut short.
        (1 - slot, number.saturating_add(1))
    }

    /// Makes a slot the newest of block k.
    #[expect(clippy::indexing_slicing, reason = "as in `newest`")]
    fn seal(&mut self, k: usize, slot: usize, seal: &Seal) -> Result<()> {
        self.write_bytes(self.plan.slot(k, slot), &seal.bytes())?;
        self.newest[k] = (slot, seal.number);
        Ok(())
    }

    /// Every block becomes one that was never visited.
    ///
    /// # Errors
    /// [`Error::Io`]; the next [`check`](Self::check) tries again.
    pub(crate) fn forget(&mut self) -> Result<()> {
        self.stale = true;
        self.begin()?;
        for k in 0..self.plan.blocks() {
            let (slot, number) = self.next(k);
            self.seal(k, slot, &Seal::unvisited(number, k))?;
        }
        self.end()?;
        self.stale = false;
        Ok(())
    }

    /// From here on one slot of a block may be half written.
    fn begin(&mut self) -> Result<()> {
        // With the last epoch's slots: all of it is on disk before the first slot is written over.
        self.write_bytes(self.plan.state_at(), TRAINING)?;
        self.sync()
    }

    /// All slots are whole: each block has been written once since [`begin`](Self::begin), over the slot that may not have been.
    fn end(&mut self) -> Result<()> {
        // The slots first: the word says that they are on disk.
        self.sync()?;
        self.write_bytes(self.plan.state_at(), COMPLETE)
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| io_at(&self.path, error))
    }

    fn read_bytes(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        self.with(|file| read_at(file, at, bytes))
    }

    fn write_bytes(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.with(|file| write_at(file, at, bytes))
    }

    /// The file's position is shared: one at a time.
    fn with(&self, work: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        work(&self.file).map_err(|error| io_at(&self.path, error))
    }
}

/// What stands before a slot's records.
#[derive(Clone, Copy, Debug)]
struct Seal {
    number: u64,
    block: usize,
    /// Bytes of records; 0 when there was no visit.
    records: usize,
    crc: u32,
}

impl Seal {
    fn unvisited(number: u64, block: usize) -> Self {
        let seal = Self { number, block, records: 0, crc: 0 };
        Self { crc: seal.begin().sum(), ..seal }
    }

    /// The sum over what stands before it.
    fn begin(&self) -> Crc {
        let mut crc = Crc::new();
        crc.add(&self.bytes()[..24]);
        crc
    }

    fn bytes(&self) -> [u8; SEAL] {
        let mut bytes = [0; SEAL];
        let words = [self.number, self.block as u64, self.records as u64, u64::from(self.crc)];
        bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes
    }

    /// A seal that could be one of block k, with no or all of its records.
    fn read(bytes: &[u8; SEAL], k: usize, records: u128) -> Option<Self> {
        let &[number, block, found, crc] = bytes.as_chunks().0 else { return None };
        let [number, block, found, crc] = [number, block, found, crc].map(u64::from_le_bytes);
        // No version follows the last number.
        let fits = block == k as u64 && number < u64::MAX && (found == 0 || u128::from(found) == records);
        let seal = Self { number, block: k, records: found as usize, crc: u32::try_from(crc).ok()? };
        fits.then_some(seal)
    }
}

/// Whether both are of one file.
#[cfg(unix)]
fn same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Whether both could be of one file: systems without numbers of files keep one that is open from being replaced.
#[cfg(not(unix))]
fn same(a: &Metadata, b: &Metadata) -> bool {
    a.is_file() == b.is_file()
}

fn lock(path: &Path, file: &File) -> Result<()> {
    // A process that this one is starting shares its open files for an instant, and with them a lock that was just released.
    let mut patience = 20;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if patience > 0 => {
                patience -= 1;
                thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Err(Error::BankInUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io_at(path, error)),
        }
    }
}

fn read_at(mut file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

fn write_at(mut file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}
