//! Serial lines (escpos §3.4): 8 data bits, the settings of the address, nobody else on the port while we hold it.

use crate::transport::address::{Flow, Parity, SerialLine};
use crate::transport::discover::{self, Bus};
use std::io;
use tokio_serial::{SerialPort, SerialStream};

/// Opens a line for us alone, wherever its device is plugged in now.
pub fn open(line: &SerialLine) -> io::Result<SerialStream> {
    let parity = match line.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let flow = match line.flow {
        Flow::None => tokio_serial::FlowControl::None,
        Flow::RtsCts => tokio_serial::FlowControl::Hardware,
        Flow::XonXoff => tokio_serial::FlowControl::Software,
    };
    let stop_bits = if line.stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
    let node = discover::node(&line.place, Bus::Serial)?;
    let settings = tokio_serial::new(node.to_string_lossy(), line.baud)
        .data_bits(tokio_serial::DataBits::Eight)
        .parity(parity)
        .stop_bits(stop_bits)
        .flow_control(flow)
        .exclusive(true);
    SerialStream::open(&settings).map_err(|cause| match cause.kind {
        // The crate says "no device" of a line that another program has locked.
        tokio_serial::ErrorKind::NoDevice if node.exists() => {
            io::Error::new(io::ErrorKind::ResourceBusy, cause.description)
        }
        tokio_serial::ErrorKind::NoDevice
        | tokio_serial::ErrorKind::InvalidInput
        | tokio_serial::ErrorKind::Unknown
        | tokio_serial::ErrorKind::Io(_) => cause.into(),
    })
}

/// Bytes that the machine holds and the line has not taken yet. Asked for instead of a flush, which blocks its thread.
pub fn waiting(port: &SerialStream) -> io::Result<u32> {
    Ok(port.bytes_to_write()?)
}
