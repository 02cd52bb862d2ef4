//! ZVT on a wire (kaspi-terminal §2.2). Serial: `DLE STX`, the APDU with each 10 doubled, `DLE ETX`, CRC-16 low and high; one byte
//! answers each frame. TCP: the bare APDU. A frame is whole and right or it is no frame: nothing half-read ever leaves this file.

/// Starts every control sequence, and is doubled inside an APDU.
const DLE: u8 = 0x10;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;
/// The byte that says: frame received. It says nothing about what the frame asked for.
pub const ACK: u8 = 0x06;
/// The byte that says: not received, send it again.
pub const NAK: u8 = 0x15;
/// The longest APDU: two bytes of command, `FF`, two bytes of length, and so many bytes.
pub const APDU_BYTES_MAX: usize = 5 + 0xFFFF;

/// How APDUs travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A serial line: DLE framing, CRC, ACK and NAK.
    Serial,
    /// A TCP connection, which is reliable by itself.
    Tcp,
}

/// What a wire brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Our frame was received.
    Ack,
    /// Our frame was not received.
    Nak,
    /// A whole APDU.
    Apdu(Vec<u8>),
    /// A frame with a wrong checksum, or something that only began like one.
    Broken,
}

/// The checksum of an APDU: reflected polynomial 8408, start 0, over the undoubled bytes and one `03`.
pub fn crc(apdu: &[u8]) -> u16 {
    apdu.iter().chain(&[ETX]).fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 })
    })
}

/// An APDU as it goes on the wire.
pub fn encode(framing: Framing, apdu: &[u8]) -> Vec<u8> {
    if framing == Framing::Tcp {
        return apdu.to_vec();
    }
    let mut bytes = vec![DLE, STX];
    for byte in apdu {
        bytes.push(*byte);
        if *byte == DLE {
            bytes.push(DLE);
        }
    }
    bytes.extend([DLE, ETX]);
    bytes.extend(crc(apdu).to_le_bytes());
    bytes
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Between frames.
    Outside,
    /// A DLE came between frames.
    Opening,
    /// Inside a frame.
    Inside,
    /// A DLE came inside a frame.
    Escaped,
    /// `DLE ETX` came: the checksum follows.
    Tail(Option<u8>),
}

/// Reads arrivals out of bytes, in whatever pieces they come.
#[derive(Clone, Debug)]
pub struct Deframer {
    framing: Framing,
    place: Place,
    apdu: Vec<u8>,
}

impl Deframer {
    /// At the beginning of a line.
    pub fn new(framing: Framing) -> Deframer {
        Deframer { framing, place: Place::Outside, apdu: Vec::new() }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_inside(&self) -> bool {
        match self.framing {
            Framing::Serial => self.place != Place::Outside,
            Framing::Tcp => !self.apdu.is_empty(),
        }
    }

    /// The other side fell silent inside a frame: what came of it is forgotten.
    pub fn reset(&mut self) {
        self.place = Place::Outside;
        self.apdu.clear();
    }

    /// Takes the next byte.
    pub fn take(&mut self, byte: u8) -> Option<Arrival> {
        match self.framing {
            Framing::Serial => self.take_serial(byte),
            Framing::Tcp => self.take_tcp(byte),
        }
    }

    fn take_serial(&mut self, byte: u8) -> Option<Arrival> {
        match self.place {
            Place::Outside => match byte {
                ACK => return Some(Arrival::Ack),
                NAK => return Some(Arrival::Nak),
                DLE => self.place = Place::Opening,
                // Noise between frames: nobody can say what it was.
                _ => {}
            },
            Place::Opening if byte == STX => {
                self.apdu.clear();
                self.place = Place::Inside;
            }
            Place::Opening => self.place = Place::Outside,
            Place::Inside if byte == DLE => self.place = Place::Escaped,
            Place::Inside => self.apdu.push(byte),
            Place::Escaped => match byte {
                DLE => {
                    self.apdu.push(DLE);
                    self.place = Place::Inside;
                }
                ETX => self.place = Place::Tail(None),
                // The end of the last frame was lost and a new one begins.
                STX => {
                    self.apdu.clear();
                    self.place = Place::Inside;
                }
                _ => return Some(self.broken()),
            },
            Place::Tail(None) => self.place = Place::Tail(Some(byte)),
            Place::Tail(Some(low)) => {
                let is_right = u16::from_le_bytes([low, byte]) == crc(&self.apdu);
                self.place = Place::Outside;
                let apdu = std::mem::take(&mut self.apdu);
                return Some(if is_right { Arrival::Apdu(apdu) } else { Arrival::Broken });
            }
        }
        if self.apdu.len() > APDU_BYTES_MAX { Some(self.broken()) } else { None }
    }

    fn take_tcp(&mut self, byte: u8) -> Option<Arrival> {
        self.apdu.push(byte);
        let whole = match self.apdu.as_slice() {
            [_, _, 0xFF, low, high, ..] => 5 + usize::from(u16::from_le_bytes([*low, *high])),
            [_, _, 0xFF, ..] => return None,
            [_, _, length, ..] => 3 + usize::from(*length),
            _ => return None,
        };
        (self.apdu.len() >= whole).then(|| Arrival::Apdu(std::mem::take(&mut self.apdu)))
    }

    fn broken(&mut self) -> Arrival {
        self.reset();
        Arrival::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_reference() {
        let acknowledgement = [0x10, 0x02, 0x80, 0x00, 0x00, 0x10, 0x03, 0xF5, 0x1F];
        assert_eq!(encode(Framing::Serial, &[0x80, 0x00, 0x00]), acknowledgement);
        // The framing doubles the 10, the checksum does not.
        assert_eq!(crc(&[0x06, 0x00, 0x10]).to_le_bytes(), [0x90, 0xEC]);
        let doubled = [0x10, 0x02, 0x06, 0x00, 0x10, 0x10, 0x10, 0x03, 0x90, 0xEC];
        assert_eq!(encode(Framing::Serial, &[0x06, 0x00, 0x10]), doubled);
    }

    #[test]
    fn one_wrong_byte_is_never_a_frame() {
        let right = encode(Framing::Serial, &[0x04, 0x0F, 0x02, 0x27, 0x00]);
        let mut broken = 0;
        for place in 0..right.len() {
            for wrong in 0..=255_u8 {
                let mut bytes = right.clone();
                if bytes[place] == wrong {
                    continue;
                }
                bytes[place] = wrong;
                let mut deframer = Deframer::new(Framing::Serial);
                let arrivals: Vec<Arrival> = bytes.iter().filter_map(|byte| deframer.take(*byte)).collect();
                assert!(!arrivals.iter().any(|one| matches!(one, Arrival::Apdu(_))), "{bytes:02X?}");
                broken += 1;
            }
        }
        assert_eq!(broken, right.len() * 255);
    }

    #[test]
    fn a_long_apdu_travels_bare_over_tcp() {
        let mut apdu = vec![0x06, 0xD3, 0xFF, 0x5D, 0x03];
        apdu.resize(5 + 0x035D, 0x41);
        let mut deframer = Deframer::new(Framing::Tcp);
        let arrivals: Vec<Arrival> = apdu.iter().filter_map(|byte| deframer.take(*byte)).collect();
        assert_eq!(arrivals, [Arrival::Apdu(apdu)]);
    }
}
