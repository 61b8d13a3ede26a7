//! ISO/IEC 14496-12 boxes and big-endian fields, read off a slice. Every read is checked: no claim of the bytes can make it
//! panic, allocate, or look at a byte twice.

/// The kind of a box, and what is in it.
pub(super) type Mp4Box<'a> = ([u8; 4], &'a [u8]);

/// A box is cut short or its size makes no sense.
pub(super) struct BrokenBox;

/// The boxes that stand one after another in a slice.
pub(super) struct Mp4Boxes<'a>(pub(super) &'a [u8]);

impl<'a> Mp4Boxes<'a> {
    fn take_one(&mut self) -> Option<Mp4Box<'a>> {
        let mut cursor = FieldReader(self.0);
        let size = cursor.u32()?;
        let kind = *cursor.take(4)?.first_chunk()?;
        let (header, size) = match size {
            0 => (8, self.0.len()),
            1 => (16, usize::try_from(cursor.u64()?).ok()?),
            _ => (8, usize::try_from(size).ok()?),
        };
        let (whole, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some((kind, whole.get(header..)?))
    }
}

impl<'a> Iterator for Mp4Boxes<'a> {
    type Item = Result<Mp4Box<'a>, BrokenBox>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = self.take_one().ok_or(BrokenBox);
        if next.is_err() {
            self.0 = &[];
        }
        Some(next)
    }
}

/// The boxes of one kind.
pub(super) fn children<'a>(
    parent: &'a [u8],
    kind: &'static [u8; 4],
) -> impl Iterator<Item = &'a [u8]> {
    Mp4Boxes(parent)
        .map_while(Result::ok)
        .filter(move |(found, _)| found == kind)
        .map(|(_, body)| body)
}

/// The first box of a kind.
pub(super) fn child<'a>(parent: &'a [u8], kind: &'static [u8; 4]) -> Option<&'a [u8]> {
    children(parent, kind).next()
}

/// Reads big-endian numbers off the front.
pub(super) struct FieldReader<'a>(pub(super) &'a [u8]);

impl<'a> FieldReader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?
            .first_chunk()
            .map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A field that is 64 bits wide in version 1 of its box and 32 in version 0.
    pub(super) fn wide(&mut self, version: u8) -> Option<u64> {
        if version == 1 {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }

    /// Version and flags, which begin every "full" box.
    pub(super) fn version_and_flags(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        let [version, ..] = word.to_be_bytes();
        Some((version, word & 0x00ff_ffff))
    }
}
