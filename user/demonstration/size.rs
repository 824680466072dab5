//! Amounts of memory for people.

use core::fmt::{self, Write};

/// A number of bytes; shown in the largest unit of which there is at least one, with a tenth where there is a unit.
///
/// ```
/// assert_eq!(demonstration::Size(1536).to_string(), "1.5 KiB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Text::default();
        self.write_to(&mut text)?;
        formatter.pad(text.as_str())
    }
}

impl Size {
    fn write_to(self, text: &mut Text) -> fmt::Result {
        let Some((unit, bytes)) = UNITS.into_iter().find(|(_, bytes)| self.0 >= *bytes) else {
            return write!(text, "{} bytes", self.0);
        };
        let tenths = (u128::from(self.0) * 10 + u128::from(bytes) / 2) / u128::from(bytes);
        match tenths % 10 {
            0 => write!(text, "{} {unit}", tenths / 10),
            tenth => write!(text, "{}.{tenth} {unit}", tenths / 10),
        }
    }
}

/// A text that is put together before it is known how long it is, so that it can be aligned.
#[derive(Default)]
struct Text {
    bytes: [u8; 24],
    length: usize,
}

impl Text {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("?")
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = self.length + more.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(more.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn units_and_tenths() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (630_378_496, "601.2 MiB"),
            (943_718_400_000, "878.9 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>8}|{:<8}|", Size(512), Size(5 << 30)), "512 bytes|5 GiB   |");
    }
}
