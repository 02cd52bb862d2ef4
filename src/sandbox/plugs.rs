//! Sockets of a made-up machine: a folder with its own `dev` and `sys`, in which devices on pseudo-terminals are plugged in, pulled out and
//! come back under another name, as the kernel and udev show it (F22). An address reaches it by `root=`.

use crate::transport::discover::Bus;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tokio_serial::{SerialPort, SerialStream};

/// A serial line: a device sits at one end, the other is a node that anybody may open.
pub struct Cable {
    /// The device's end.
    pub device: SerialStream,
    /// The node of the other end.
    pub node: PathBuf,
    /// Held open, so that the line stays up while nobody talks.
    _held: SerialStream,
}

impl Cable {
    /// A new line. When it is dropped, it is pulled out: whoever has it open gets errors.
    pub fn new() -> io::Result<Cable> {
        // Held without a lock: the other end belongs to whoever opens it.
        let (device, held) = SerialStream::pair()?;
        let node = held.name().ok_or_else(|| io::Error::other("a pseudo-terminal has no name"))?;
        Ok(Cable { device, node: node.into(), _held: held })
    }
}

/// What a USB device tells.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Maker's number, four hex digits.
    pub vid: &'static str,
    /// Product's number, four hex digits.
    pub pid: &'static str,
    /// Serial number; empty for the many that have none.
    pub serial: &'static str,
    /// Maker and product in words.
    pub title: &'static str,
}

/// An adapter that nearly every cable has: without a serial number.
pub const CH340: Model = Model { vid: "1a86", pid: "7523", serial: "", title: "USB Serial" };

/// An adapter with a serial number.
pub const FTDI: Model = Model { vid: "0403", pid: "6001", serial: "A50285BI", title: "FT232R USB UART" };

/// A USB receipt printer.
pub const TM_T20: Model = Model { vid: "04b8", pid: "0e03", serial: "J5SF000123", title: "EPSON TM-T20" };

/// The sockets of a made-up machine.
pub struct Plugs {
    root: PathBuf,
}

impl Plugs {
    /// A machine in a folder, with nothing plugged in.
    pub fn new(root: &Path) -> io::Result<Plugs> {
        for folder in [
            "dev/serial/by-id",
            "dev/serial/by-path",
            "dev/usb",
            "dev/kassad/printer-by-path",
            "sys/class/tty",
            "sys/class/usbmisc",
            "sys/devices",
        ] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        Ok(Plugs { root: root.to_owned() })
    }

    /// The folder, for `root=`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Plugs a device into a socket (`1-2`); it gets the name that the kernel gave it (`ttyUSB0`, `lp0`), its node is `aim`.
    pub fn plug(&self, bus: Bus, name: &str, socket: &str, model: Model, aim: &Path) -> io::Result<()> {
        let (class, node, path_links) = places(bus);
        let usb = self.root.join("sys/devices").join(socket);
        let interface = usb.join(format!("{socket}:1.0"));
        let device = interface.join(name);
        std::fs::create_dir_all(&device)?;
        let attributes =
            [("idVendor", model.vid), ("idProduct", model.pid), ("serial", model.serial), ("product", model.title)];
        for (attribute, value) in attributes.iter().filter(|(_, value)| !value.is_empty()) {
            std::fs::write(usb.join(attribute), format!("{value}\n"))?;
        }
        if bus == Bus::Usb {
            std::fs::write(interface.join("ieee1284_id"), format!("MFG:EPSON;MDL:{};CLS:PRINTER;", model.title))?;
        }
        symlink(&interface, device.join("device"))?;
        symlink(&device, self.root.join(class).join(name))?;
        symlink(aim, self.root.join(node).join(name))?;
        symlink(self.root.join(node).join(name), self.root.join(path_links).join(socket_link(socket)))?;
        if bus == Bus::Serial {
            let link = self.root.join("dev/serial/by-id").join(format!("usb-{}-if00", model.title.replace(' ', "_")));
            // Twins share one name: the last one has it.
            let _was_another = std::fs::remove_file(&link).is_ok();
            symlink(self.root.join(node).join(name), link)?;
        }
        Ok(())
    }

    /// Pulls a device out of its socket. Its line must be dropped as well.
    pub fn pull(&self, bus: Bus, name: &str, socket: &str) -> io::Result<()> {
        let (class, node, path_links) = places(bus);
        std::fs::remove_file(self.root.join(node).join(name))?;
        std::fs::remove_file(self.root.join(class).join(name))?;
        std::fs::remove_file(self.root.join(path_links).join(socket_link(socket)))?;
        std::fs::remove_dir_all(self.root.join("sys/devices").join(socket))
    }
}

/// The name of a socket's link, as udev makes it.
pub fn socket_link(socket: &str) -> String {
    format!("pci-0000:00:14.0-usb-0:{}:1.0", socket.rsplit('-').next().unwrap_or(socket))
}

/// The class in sysfs, the folder of the nodes, the folder of the links by socket.
fn places(bus: Bus) -> (&'static str, &'static str, &'static str) {
    match bus {
        Bus::Serial => ("sys/class/tty", "dev", "dev/serial/by-path"),
        Bus::Usb => ("sys/class/usbmisc", "dev/usb", "dev/kassad/printer-by-path"),
    }
}
