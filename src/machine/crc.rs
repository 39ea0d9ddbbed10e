//! CRC-32 as in gzip and PNG: reflected polynomial 0xedb88320, sixteen bytes at a time.

/// Bytes at a time.
const STRIDE: usize = 16;
/// `TABLES[i][b]`: what byte b does to the sum when i zero bytes follow it.
const TABLES: [[u32; 256]; STRIDE] = tables();

const fn tables() -> [[u32; 256]; STRIDE] {
    let mut tables = [[0; 256]; STRIDE];
    let mut b = 0;
    while b < 256 {
        let mut sum = b as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
            bit += 1;
        }
        tables[0][b] = sum;
        b += 1;
    }
    let mut i = 1;
    while i < STRIDE {
        let mut b = 0;
        while b < 256 {
            let last: u32 = tables[i - 1][b];
            tables[i][b] = (last >> 8) ^ tables[0][(last & 0xff) as usize];
            b += 1;
        }
        i += 1;
    }
    tables
}

/// The sum of the bytes so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc(u32);

impl Crc {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (strides, rest) = bytes.as_chunks::<STRIDE>();
        for stride in strides {
            let mut sum = 0;
            for (i, &word) in stride.as_chunks::<4>().0.iter().enumerate() {
                let word = u32::from_le_bytes(word) ^ if i == 0 { self.0 } else { 0 };
                for j in 0..4 {
                    sum ^= TABLES[STRIDE - 1 - 4 * i - j][((word >> (8 * j)) & 0xff) as usize];
                }
            }
            self.0 = sum;
        }
        rest.iter().for_each(|&byte| self.0 = (self.0 >> 8) ^ TABLES[0][usize::from(self.0 as u8 ^ byte)]);
    }

    pub(crate) fn sum(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Crc;

    /// The remainder of the polynomial division, bit by bit.
    fn by_definition(bytes: &[u8]) -> u32 {
        let bits = bytes.iter().flat_map(|byte| (0..8).map(move |i| u32::from((byte >> i) & 1)));
        !bits.fold(!0, |sum, bit| if sum & 1 != bit { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    }

    #[test]
    fn the_sum_is_the_remainder_whatever_the_lengths_it_comes_in() {
        let of = |parts: &[&[u8]]| {
            let mut crc = Crc::new();
            parts.iter().for_each(|part| crc.add(part));
            crc.sum()
        };
        // The check value of the catalogue of parametrised CRC algorithms.
        assert_eq!(of(&[b"123456789"]), 0xcbf4_3926);
        let bytes: Vec<u8> = (0..100u32).map(|i| (i * i * 7 + i) as u8).collect();
        for (a, b) in [(0, 0), (1, 17), (8, 16), (13, 99), (100, 100)] {
            assert_eq!(of(&[&bytes[..a], &bytes[a..b], &bytes[b..]]), by_definition(&bytes));
        }
    }
}
