//! Writes a video: H.264 in MP4.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::pipeline::missing;
use crate::base::error::{Error, Result};
use crate::types::frame::{RgbImage, check_size};
use crate::types::geometry::Size;
use crate::{bail, err};

/// Pictures that wait for the encoder before [`VideoWriter::write`] does.
const QUEUED: u64 = 4;
/// The longest the file may take to be completed.
const FINISH: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// An MP4 file in the making. It is written under a temporary name beside its own and gets that only in
/// [`finish`](VideoWriter::finish); dropped before, it leaves nothing behind.
pub struct VideoWriter {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    size: Size,
    /// The size that is encoded: even, as 4:2:0 needs it.
    coded: Size,
    frame_time: gst::ClockTime,
    path: PathBuf,
    partial: PathBuf,
    finished: bool,
}

impl VideoWriter {
    /// Starts a file of pictures of `size`, about `fps` a second (it sets the encoder's rate and the last picture's
    /// length; the pictures' own times are those given to [`write`](VideoWriter::write)).
    ///
    /// # Errors
    /// `Unavailable`, when an encoder is missing; `CannotCreate`, when the file cannot be; `Data`, for a bad size
    /// or rate.
    pub fn create(path: &Path, size: Size, fps: f32) -> Result<Self> {
        super::init()?;
        check_size(size)?;
        if !(fps.is_finite() && (0.1..=1000.0).contains(&fps)) {
            bail!(Data, "{fps} pictures a second: expected 0.1 to 1000");
        }
        let coded = Size::new(size.width.next_multiple_of(2), size.height.next_multiple_of(2));
        let partial = partial_name(path)?;
        // Fails here, and in plain words, rather than in the middle of a pipeline.
        std::fs::File::create(&partial)
            .map_err(|e| err!(CannotCreate, "cannot write {}", path.display()).because(e))?;
        let (pipeline, source) = build(coded, fps, &partial).inspect_err(|_| remove(&partial))?;
        let frame_time = gst::ClockTime::from_nseconds((1e9 / f64::from(fps)) as u64);
        let path = path.to_owned();
        let writer = Self { pipeline, source, size, coded, frame_time, path, partial, finished: false };
        if writer.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(writer.why("cannot start"));
        }
        Ok(writer)
    }

    /// Appends a picture at time `pts`, which must grow from picture to picture. Waits for a slow encoder.
    ///
    /// # Errors
    /// `Data`, when the picture has another size than the file; `Io`, when encoding or writing failed.
    pub fn write(&mut self, picture: &RgbImage, pts: Duration) -> Result<()> {
        use crate::types::frame::Pixels;
        if picture.size() != self.size {
            bail!(Data, "a picture of {} does not fit into a video of {}", picture.size(), self.size);
        }
        let mut buffer = gst::Buffer::from_mut_slice(even_rows(picture.data(), self.size, self.coded));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(
                u64::try_from(pts.as_nanos()).unwrap_or(u64::MAX - 1),
            ));
            buffer.set_duration(self.frame_time);
        }
        self.source.push_buffer(buffer).map(drop).map_err(|_| self.why("cannot write to"))
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// `Io`, when the encoder or the disk failed; `CannotCreate`, when it cannot be renamed.
    pub fn finish(mut self) -> Result<()> {
        self.source.end_of_stream().map_err(|_| self.why("cannot complete"))?;
        let bus = self.pipeline.bus().ok_or_else(|| self.why("cannot complete"))?;
        let last = bus.timed_pop_filtered(FINISH, &[gst::MessageType::Eos, gst::MessageType::Error]);
        match last.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Eos(_)) => {}
            Some(gst::MessageView::Error(error)) => return Err(self.failed("cannot complete", error)),
            _ => bail!(Io, "cannot complete {}: the encoder does not come to an end", self.path.display()),
        }
        let _ = self.pipeline.set_state(gst::State::Null);
        std::fs::rename(&self.partial, &self.path)
            .map_err(|e| err!(CannotCreate, "cannot rename to {}", self.path.display()).because(e))?;
        self.finished = true;
        Ok(())
    }

    /// The error on the bus, which says why a call failed.
    fn why(&self, what: &str) -> Error {
        let error = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match error.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(error)) => self.failed(what, error),
            _ => err!(Io, "{what} {}", self.path.display()),
        }
    }

    fn failed(&self, what: &str, error: &gst::message::Error) -> Error {
        err!(Io, "{what} {}: {}", self.path.display(), error.error().message())
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
        if !self.finished {
            remove(&self.partial);
        }
    }
}

fn remove(path: &Path) {
    // It is a temporary file: if it cannot be removed, nothing depends on it.
    let _ = std::fs::remove_file(path);
}

fn partial_name(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
        bail!(CannotCreate, "cannot write {}: a file name was expected", path.display());
    };
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.part", std::process::id()));
    Ok(path.with_file_name(partial))
}

fn make(name: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(name).build().map_err(|_| err!(Unavailable, "{}", missing(name)))
}

fn build(coded: Size, fps: f32, partial: &Path) -> Result<(gst::Pipeline, gst_app::AppSrc)> {
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", coded.width as i32)
        .field("height", coded.height as i32)
        .field("framerate", gst::Fraction::approximate_f32(fps).unwrap_or(gst::Fraction::new(25, 1)))
        .build();
    let source = gst_app::AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .max_bytes(QUEUED * 3 * coded.area())
        .block(true)
        .build();
    let file = make("filesink")?;
    file.set_property("location", partial);
    // Without this the encoder takes 4:4:4, which few players can show.
    let subsampled = make("capsfilter")?;
    subsampled.set_property("caps", gst::Caps::builder("video/x-raw").field("format", "I420").build());
    let chain =
        [make("videoconvert")?, subsampled, encoder(coded, fps)?, make("h264parse")?, make("mp4mux")?, file];
    let pipeline = gst::Pipeline::new();
    let linked = pipeline.add(&source).is_ok()
        && pipeline.add_many(&chain).is_ok()
        && gst::Element::link_many(std::iter::once(source.upcast_ref()).chain(&chain)).is_ok();
    if !linked {
        bail!(Unavailable, "GStreamer's encoder elements do not fit together; is the installation complete?");
    }
    Ok((pipeline, source))
}

fn encoder(coded: Size, fps: f32) -> Result<gst::Element> {
    // About 0.15 bit a pixel: faces stay recognisable, files stay small.
    let bits = (coded.area() as f64 * f64::from(fps) * 0.15).clamp(2e5, 5e7) as u32;
    let key_frames = (fps * 2.0).ceil().max(1.0) as u32;
    if let Ok(encoder) = gst::ElementFactory::make("x264enc").build() {
        encoder.set_property_from_str("speed-preset", "veryfast");
        encoder.set_property_from_str("pass", "qual");
        encoder.set_property("quantizer", 21u32);
        encoder.set_property("key-int-max", key_frames);
        return Ok(encoder);
    }
    if let Ok(encoder) = gst::ElementFactory::make("openh264enc").build() {
        encoder.set_property("bitrate", bits);
        encoder.set_property("gop-size", key_frames);
        return Ok(encoder);
    }
    bail!(
        Unavailable,
        "GStreamer has no H.264 encoder; install gstreamer1.0-plugins-ugly (x264enc) or \
         gstreamer1.0-plugins-bad (openh264enc)"
    )
}

/// The picture with rows padded to four bytes, as GStreamer lays RGB out, and its last column and row repeated
/// where it is odd.
fn even_rows(data: &[u8], size: Size, coded: Size) -> Vec<u8> {
    let row = size.width as usize * 3;
    let stride = (coded.width as usize * 3).next_multiple_of(4);
    let mut out = Vec::with_capacity(stride * coded.height as usize);
    for line in data.chunks_exact(row) {
        out.extend_from_slice(line);
        if coded.width > size.width {
            out.extend_from_slice(line.last_chunk::<3>().unwrap_or(&[0; 3]));
        }
        out.resize(out.len().next_multiple_of(stride), 0);
    }
    if coded.height > size.height {
        out.extend_from_within(out.len().saturating_sub(stride)..);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_picture_is_continued_at_its_edge() {
        let data: Vec<u8> = (0..27).collect();
        let out = even_rows(&data, Size::new(3, 3), Size::new(4, 4));
        assert_eq!(out.len(), 48);
        assert_eq!(out[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8]);
        assert_eq!(out[36..], out[24..36]);
    }
}
