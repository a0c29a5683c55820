//! The files that have, or had, the name that is followed: a file that was renamed is read to its end, and a copy of one that was cut
//! to where the copy ends.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::names::{Kin, kin};
use super::place::Place;
use super::reader::{Line, Reader};
use crate::settings::folder;
use crate::time::clock::Mono;

/// How long a file that was renamed may be silent before it is closed: programs write on until they are told.
const LINGER: std::time::Duration = std::time::Duration::from_mins(1);
/// How many files that were renamed are open.
const MOST_OLD: usize = 8;
/// How many files that are not read are named.
const SHOWN: usize = 5;

/// Where reading begins if nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Behind what is there.
    End,
    /// With what is there.
    Beginning,
}

/// A file that was renamed.
#[derive(Debug)]
struct Old {
    reader: Reader,
    /// When something of it was read last.
    read: Mono,
}

/// What follows a name.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    old: Vec<Old>,
    current: Option<Reader>,
    /// What became of a file whose rest could not be found, to be said.
    lost: Option<String>,
}

impl Follower {
    /// Goes on at the places where reading has ended, the last of them that of the file that had the name.
    pub(super) fn new(path: &Path, places: &[Place], start: Start, now: Mono) -> io::Result<Self> {
        let mut follower = Follower { path: path.to_owned(), old: Vec::new(), current: None, lost: None };
        let here = match Reader::open(path) {
            Ok(here) => Some(here),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let Some((last, before)) = places.split_last() else {
            follower.current = here;
            if let (Some(here), Start::End) = (&mut follower.current, start) {
                here.seek(here.length()?)?;
            }
            return Ok(follower);
        };
        for place in before {
            follower.resume_old(place, now)?;
        }
        match here {
            Some(mut here) if here.is(last) && here.length()? >= last.offset => {
                here.seek(last.offset)?;
                follower.current = Some(here);
            }
            // It was cut, or is another one.
            here => {
                let resumed = follower.resume_old(last, now)?;
                follower.between(here.as_ref(), last, resumed, now)?;
                follower.current = here;
            }
        }
        Ok(follower)
    }

    /// Where reading goes on after a restart; the file that has the name is the last.
    pub(super) fn places(&self) -> Vec<Place> {
        let old = self.old.iter().map(|old| old.reader.place());
        old.chain(self.current.as_ref().map(Reader::place)).collect()
    }

    /// Whether a file has the name.
    pub(super) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Whether something has to be looked at before long, even if nothing happens.
    pub(super) fn lingers(&self) -> bool {
        !self.old.is_empty()
    }

    /// What could not be read.
    pub(super) fn take_lost(&mut self) -> Option<String> {
        self.lost.take()
    }

    /// Reads on. False if nothing has come.
    pub(super) fn read(&mut self, now: Mono, give: &mut dyn FnMut(Line<'_>)) -> io::Result<bool> {
        for old in &mut self.old {
            // Older lines come first.
            if old.reader.read(give)? {
                old.read = now;
                return Ok(true);
            }
        }
        self.old.retain_mut(|old| {
            let stays = now.since(old.read) < LINGER;
            if !stays {
                old.reader.finish(give);
            }
            stays
        });
        match &mut self.current {
            Some(current) => current.read(give),
            None => Ok(false),
        }
    }

    /// Sees whether the name has another file, or its file was cut: true if so. Where reading goes on must be written before it is read
    /// on then: a file of which nothing is known is not found under another name.
    pub(super) fn look(&mut self, now: Mono) -> io::Result<bool> {
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => Some(meta),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        // One that has no name any more may still be written, and get a successor.
        let Some(meta) = meta else { return Ok(false) };
        let same = self.current.as_ref().is_some_and(|current| current.is_file(meta.dev(), meta.ino()));
        if !same {
            let next = Reader::open(&self.path)?;
            if let Some(reader) = self.current.replace(next) {
                self.add_old(Old { reader, read: now });
            }
            return Ok(true);
        }
        if let Some(current) = &mut self.current
            && current.is_cut()?
        {
            let place = current.place();
            current.seek(0)?;
            self.resume_copy(&place, now)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn add_old(&mut self, old: Old) {
        if self.old.len() >= MOST_OLD {
            self.old.remove(0);
            self.lose("more than 8 files that were renamed are not read to their ends".to_owned());
        }
        self.old.push(old);
    }

    /// Goes on with a file that had the name, whatever its name is now, or with a copy of it. False if there is none.
    fn resume_old(&mut self, place: &Place, now: Mono) -> io::Result<bool> {
        for path in self.neighbours()? {
            let is_it = |meta: &Metadata| (meta.dev(), meta.ino()) == (place.device, place.inode);
            if !std::fs::metadata(&path).is_ok_and(|meta| is_it(&meta)) {
                continue;
            }
            let Ok(mut reader) = Reader::open(&path) else { continue };
            if reader.is(place) && reader.length()? >= place.offset {
                reader.seek(place.offset)?;
                self.add_old(Old { reader, read: now });
                return Ok(true);
            }
        }
        self.resume_copy(place, now)
    }

    /// Goes on with the copy of a file that was cut. False if there is none.
    fn resume_copy(&mut self, place: &Place, now: Mono) -> io::Result<bool> {
        // Of a file of which nothing was read, nothing is missing; a copy could not be known.
        if place.head == 0 {
            return Ok(false);
        }
        for (path, _) in self.kin()?.into_iter().filter(|(_, kin)| *kin == Kin::Rotated) {
            let Ok(mut reader) = Reader::open(&path) else { continue };
            let other = !reader.is_file(place.device, place.inode);
            if other && reader.has_head_of(place) && reader.length()? >= place.offset {
                reader.seek(place.offset)?;
                self.add_old(Old { reader, read: now });
                return Ok(true);
            }
        }
        let (path, offset) = (self.path.display(), place.offset);
        self.lose(format!(
            "the rest of the file that was {path}, after {offset} octets, is not there any more under any name, uncompressed"
        ));
        Ok(false)
    }

    /// Reads files that had the name after the place where reading has ended, in the file that is read on or, unless it was `resumed`, is
    /// gone: they came and were renamed meanwhile. Nothing proves that but their names and times: others that were written since are not
    /// read, and named.
    fn between(&mut self, here: Option<&Reader>, place: &Place, resumed: bool, now: Mono) -> io::Result<()> {
        let of_old = self.old.last().map(|old| old.reader.written());
        let last = if resumed { of_old } else { place.written.or(of_old) };
        let known = |reader: &Reader| {
            let place = reader.place();
            let is = |other: &Reader| other.is_file(place.device, place.inode);
            here.is_some_and(is) || self.old.iter().any(|old| is(&old.reader))
        };
        let (mut missed, mut undated, mut compressed, mut unsure) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (path, kin) in self.kin()? {
            let Ok(reader) = Reader::open(&path) else { continue };
            // What is gone may be in a file that was made of it, and has its time.
            let may_be_it = !resumed && kin != Kin::Rotated && Some(reader.written()) == last;
            if known(&reader) || last.is_some_and(|last| reader.written() <= last) && !may_be_it {
                continue;
            }
            match kin {
                Kin::Rotated if last.is_some() => missed.push(reader),
                // It may have been read before.
                Kin::Rotated => undated.push(path),
                Kin::Compressed => compressed.push(path),
                Kin::Maybe | Kin::Stranger => unsure.push(path),
            }
        }
        if !undated.is_empty() {
            let what = "lines may be missing: nothing tells whether these files were read before, so they are not read";
            self.lose(format!("{what}: {}", shown(&undated)));
        }
        if !compressed.is_empty() {
            let what = "lines may be missing: of what was rotated meanwhile, this is compressed and not read";
            self.lose(format!("{what}: {}", shown(&compressed)));
        }
        if !unsure.is_empty() {
            let what = "these files were written since, and are not read, as their names are of no rotation that is known; if one is a part of \
                        this file, its lines are missing";
            self.lose(format!("{what}: {}", shown(&unsure)));
        }
        missed.sort_by_key(Reader::written);
        for reader in missed {
            self.add_old(Old { reader, read: now });
        }
        Ok(())
    }

    /// The files beside it whose names are those of rotated files, or might be.
    fn kin(&self) -> io::Result<Vec<(PathBuf, Kin)>> {
        let name_of = |path: &Path| {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let name = name_of(&self.path);
        let all = self.neighbours()?.into_iter().map(|path| {
            let kin = kin(&name, &name_of(&path));
            (path, kin)
        });
        Ok(all.filter(|(_, kin)| *kin != Kin::Stranger).collect())
    }

    /// The files of its folder.
    fn neighbours(&self) -> io::Result<Vec<PathBuf>> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(folder::contents(parent.unwrap_or(Path::new(".")))?.files)
    }

    /// Something cannot be read, which is said once.
    fn lose(&mut self, what: String) {
        self.lost = Some(self.lost.take().map_or_else(|| what.clone(), |before| format!("{before}; {what}")));
    }
}

/// Some paths in words.
fn shown(paths: &[PathBuf]) -> String {
    let mut some: Vec<String> = paths.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    if paths.len() > SHOWN {
        some.push(format!("and {} more", paths.len() - SHOWN));
    }
    some.join(", ")
}
