//! A decoder's buffer, mapped for reading, as a frame's pixels.

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use gstreamer_video::video_frame::Readable;
use gstreamer_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrame, VideoInfo};

use crate::types::frame::{Colorimetry, Matrix, Pixels, Plane, Planes, check_size};
use crate::types::geometry::Size;

/// NV12 or I420 in the decoder's own memory; the buffer goes back to the decoder's pool when this is dropped.
pub(super) struct Mapped {
    frame: VideoFrame<Readable>,
    size: Size,
    color: Colorimetry,
    layout: Layout,
}

#[derive(Clone, Copy)]
enum Layout {
    I420,
    Nv12,
}

impl Mapped {
    /// Maps the sample's buffer; the message of an error says what does not fit.
    pub(super) fn new(sample: &gst::Sample) -> Result<Self, String> {
        let caps = sample.caps().ok_or("a picture without a format")?;
        let info = VideoInfo::from_caps(caps).map_err(|_| "a picture of a format that is not understood")?;
        let size = Size::new(info.width(), info.height());
        check_size(size).map_err(|e| e.chain())?;
        let layout = match info.format() {
            VideoFormat::I420 => Layout::I420,
            VideoFormat::Nv12 => Layout::Nv12,
            other => return Err(format!("a picture in {other:?} where NV12 or I420 was asked for")),
        };
        let buffer = sample.buffer_owned().ok_or("a picture without samples")?;
        let frame = map(buffer, &info)?;
        let frame = if fits(&frame) { frame } else { compact(&frame, &info)? };
        Ok(Self { color: colorimetry(&info), frame, size, layout })
    }

    fn plane(&self, index: usize) -> Plane<'_> {
        let stride = self.frame.plane_stride().get(index).map_or(0, |s| s.unsigned_abs() as usize);
        // The planes of both layouts exist: the format was checked.
        Plane { data: self.frame.plane_data(index as u32).unwrap_or(&[]), stride }
    }
}

impl Pixels for Mapped {
    fn size(&self) -> Size {
        self.size
    }

    fn planes(&self) -> Planes<'_> {
        let (y, color) = (self.plane(0), self.color);
        match self.layout {
            Layout::I420 => Planes::I420 { y, u: self.plane(1), v: self.plane(2), color },
            Layout::Nv12 => Planes::Nv12 { y, uv: self.plane(1), color },
        }
    }
}

fn map(buffer: gst::Buffer, info: &VideoInfo) -> Result<VideoFrame<Readable>, String> {
    VideoFrame::from_buffer_readable(buffer, info)
        .map_err(|_| "the picture's memory cannot be read".to_owned())
}

/// True if whole rows of every plane lie inside the buffer. A decoder that pads to the left, or stores a picture
/// bottom up, may have it otherwise.
fn fits(frame: &VideoFrame<Readable>) -> bool {
    let total = frame.buffer().size();
    let planes = frame.plane_offset().iter().zip(frame.plane_stride()).zip(0..frame.n_planes());
    planes.into_iter().all(|((offset, stride), plane)| {
        let Ok(stride) = usize::try_from(*stride) else { return false };
        offset + stride * frame.plane_height(plane) as usize <= total
    })
}

/// The same picture in plain rows: the one case where a whole frame is copied.
fn compact(frame: &VideoFrame<Readable>, info: &VideoInfo) -> Result<VideoFrame<Readable>, String> {
    let failed = |_| "the picture's memory cannot be copied".to_owned();
    let buffer = gst::Buffer::with_size(info.size()).map_err(failed)?;
    let mut copy = VideoFrame::from_buffer_writable(buffer, info).map_err(|_| "no memory for a picture")?;
    frame.copy(&mut copy).map_err(failed)?;
    map(copy.into_buffer(), info)
}

/// What the stream says; where it says nothing, what its size suggests (BT.709 from 720 lines on).
fn colorimetry(info: &VideoInfo) -> Colorimetry {
    let told = info.colorimetry();
    let matrix = match told.matrix() {
        VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => Matrix::Bt601,
        VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m => Matrix::Bt709,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        _ if info.height() >= 720 => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    Colorimetry { matrix, full_range: told.range() == VideoColorRange::Range0_255 }
}

/// Tells the decoder that strides and offsets of its own are welcome; without this it copies every picture into
/// plain rows.
pub(super) fn accept_any_stride(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, probe| {
        if let Some(query) = probe.query_mut()
            && let gst::QueryViewMut::Allocation(allocation) = query.view_mut()
        {
            allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}
