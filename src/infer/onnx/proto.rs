//! The messages of `onnx.proto` (ONNX 1.18, IR version 11) that the rewrites touch, by hand.
//!
//! Nothing may be lost on the way through. So every field is here; presence is kept (the schema is proto2: an
//! attribute `i = 0` that was written is written again); and messages that no rewrite looks into are kept as the
//! bytes they came as. [`Model::decode_exact`] proves it for each file, byte by byte.

use prost::Message;

use crate::bail;
use crate::base::error::Result;
use crate::err;

/// Undecoded bytes of a message no rewrite looks into.
type Opaque = Vec<u8>;

/// `TensorProto.DataType.FLOAT`
pub const FLOAT: i32 = 1;
/// `TensorProto.DataType.INT64`
pub const INT64: i32 = 7;

/// `ModelProto`
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// Version of the format.
    #[prost(int64, optional, tag = "1")]
    pub ir_version: Option<i64>,
    /// Who wrote it.
    #[prost(string, optional, tag = "2")]
    pub producer_name: Option<String>,
    /// Version of who wrote it.
    #[prost(string, optional, tag = "3")]
    pub producer_version: Option<String>,
    /// Name space.
    #[prost(string, optional, tag = "4")]
    pub domain: Option<String>,
    /// The model's own version.
    #[prost(int64, optional, tag = "5")]
    pub model_version: Option<i64>,
    /// Documentation.
    #[prost(string, optional, tag = "6")]
    pub doc_string: Option<String>,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// `OperatorSetIdProto`
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub opset_import: Vec<Opaque>,
    /// `StringStringEntryProto`
    #[prost(bytes = "vec", repeated, tag = "14")]
    pub metadata_props: Vec<Opaque>,
    /// `TrainingInfoProto`
    #[prost(bytes = "vec", repeated, tag = "20")]
    pub training_info: Vec<Opaque>,
    /// `FunctionProto`
    #[prost(bytes = "vec", repeated, tag = "25")]
    pub functions: Vec<Opaque>,
    /// `DeviceConfigurationProto`
    #[prost(bytes = "vec", repeated, tag = "26")]
    pub configuration: Vec<Opaque>,
}

/// `GraphProto`
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// Operators, in an order they can run in.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    /// Weights and other constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// Documentation.
    #[prost(string, optional, tag = "10")]
    pub doc_string: Option<String>,
    /// Inputs; in old files also the initializers.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// Outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    /// Shapes of values in between: hints only.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfo>,
    /// `TensorAnnotation`
    #[prost(bytes = "vec", repeated, tag = "14")]
    pub quantization_annotation: Vec<Opaque>,
    /// `SparseTensorProto`
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub sparse_initializer: Vec<Opaque>,
    /// `StringStringEntryProto`
    #[prost(bytes = "vec", repeated, tag = "16")]
    pub metadata_props: Vec<Opaque>,
}

/// `NodeProto`
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Values it reads.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Values it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Name.
    #[prost(string, optional, tag = "3")]
    pub name: Option<String>,
    /// Operator.
    #[prost(string, optional, tag = "4")]
    pub op_type: Option<String>,
    /// Parameters.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    /// Documentation.
    #[prost(string, optional, tag = "6")]
    pub doc_string: Option<String>,
    /// Name space of the operator.
    #[prost(string, optional, tag = "7")]
    pub domain: Option<String>,
    /// Overload of a function.
    #[prost(string, optional, tag = "8")]
    pub overload: Option<String>,
    /// `StringStringEntryProto`
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub metadata_props: Vec<Opaque>,
    /// `NodeDeviceConfigurationProto`
    #[prost(bytes = "vec", repeated, tag = "10")]
    pub device_configurations: Vec<Opaque>,
}

/// `AttributeProto`
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// A float.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// An integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// A string.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// `TensorProto`
    #[prost(bytes = "vec", optional, tag = "5")]
    pub t: Option<Opaque>,
    /// `GraphProto`
    #[prost(bytes = "vec", optional, tag = "6")]
    pub g: Option<Opaque>,
    /// Floats.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Strings.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// `TensorProto`
    #[prost(bytes = "vec", repeated, tag = "10")]
    pub tensors: Vec<Opaque>,
    /// `GraphProto`
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub graphs: Vec<Opaque>,
    /// Documentation.
    #[prost(string, optional, tag = "13")]
    pub doc_string: Option<String>,
    /// `TypeProto`
    #[prost(bytes = "vec", optional, tag = "14")]
    pub tp: Option<Opaque>,
    /// `TypeProto`
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub type_protos: Vec<Opaque>,
    /// `AttributeType`: which of the fields holds the value.
    #[prost(int32, optional, tag = "20")]
    pub kind: Option<i32>,
    /// Attribute of the function this refers to.
    #[prost(string, optional, tag = "21")]
    pub ref_attr_name: Option<String>,
    /// `SparseTensorProto`
    #[prost(bytes = "vec", optional, tag = "22")]
    pub sparse_tensor: Option<Opaque>,
    /// `SparseTensorProto`
    #[prost(bytes = "vec", repeated, tag = "23")]
    pub sparse_tensors: Vec<Opaque>,
}

/// `TensorProto`
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// Dimensions.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// Element type ([`FLOAT`], [`INT64`], ...).
    #[prost(int32, optional, tag = "2")]
    pub data_type: Option<i32>,
    /// `Segment`
    #[prost(bytes = "vec", optional, tag = "3")]
    pub segment: Option<Opaque>,
    /// Elements, if they are floats.
    #[prost(float, repeated, packed = "true", tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of 32 bits and fewer.
    #[prost(int32, repeated, packed = "true", tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements, if they are strings.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    /// Elements, if they are 64-bit integers.
    #[prost(int64, repeated, packed = "true", tag = "7")]
    pub int64_data: Vec<i64>,
    /// Name.
    #[prost(string, optional, tag = "8")]
    pub name: Option<String>,
    /// Elements of any type, little endian.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    /// Elements, if they are doubles.
    #[prost(double, repeated, packed = "true", tag = "10")]
    pub double_data: Vec<f64>,
    /// Elements, if they are 64-bit unsigned integers.
    #[prost(uint64, repeated, packed = "true", tag = "11")]
    pub uint64_data: Vec<u64>,
    /// Documentation.
    #[prost(string, optional, tag = "12")]
    pub doc_string: Option<String>,
    /// `StringStringEntryProto`
    #[prost(bytes = "vec", repeated, tag = "13")]
    pub external_data: Vec<Opaque>,
    /// `DataLocation`
    #[prost(int32, optional, tag = "14")]
    pub data_location: Option<i32>,
    /// `StringStringEntryProto`
    #[prost(bytes = "vec", repeated, tag = "16")]
    pub metadata_props: Vec<Opaque>,
}

/// `ValueInfoProto`
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// Name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Type and shape.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
    /// Documentation.
    #[prost(string, optional, tag = "3")]
    pub doc_string: Option<String>,
    /// `StringStringEntryProto`
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub metadata_props: Vec<Opaque>,
}

/// `TypeProto`
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    /// A tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
    /// `TypeProto.Sequence`
    #[prost(bytes = "vec", optional, tag = "4")]
    pub sequence_type: Option<Opaque>,
    /// `TypeProto.Map`
    #[prost(bytes = "vec", optional, tag = "5")]
    pub map_type: Option<Opaque>,
    /// What the value stands for.
    #[prost(string, optional, tag = "6")]
    pub denotation: Option<String>,
    /// `TypeProto.Opaque`
    #[prost(bytes = "vec", optional, tag = "7")]
    pub opaque_type: Option<Opaque>,
    /// `TypeProto.SparseTensor`
    #[prost(bytes = "vec", optional, tag = "8")]
    pub sparse_tensor_type: Option<Opaque>,
    /// `TypeProto.Optional`
    #[prost(bytes = "vec", optional, tag = "9")]
    pub optional_type: Option<Opaque>,
}

/// `TypeProto.Tensor`
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// Element type.
    #[prost(int32, optional, tag = "1")]
    pub elem_type: Option<i32>,
    /// Shape; absent if even the rank is open.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// `TensorShapeProto`
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// Dimensions.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`: a value, a name, or neither.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// Fixed.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// Symbolic.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
    /// What it stands for.
    #[prost(string, optional, tag = "3")]
    pub denotation: Option<String>,
}

impl Model {
    /// Reads a file, and proves that writing it again gives the same bytes.
    ///
    /// # Errors
    /// `Data`, when the bytes are no ONNX model, or hold something that would be lost.
    pub fn decode_exact(bytes: &[u8]) -> Result<Self> {
        let model = Self::decode(bytes).map_err(|e| err!(Data, "not an ONNX model").because(e))?;
        if model.graph.is_none() {
            bail!(Data, "not an ONNX model: it holds no graph");
        }
        if model.encode_to_vec() != bytes {
            bail!(Data, "this ONNX model holds fields that are not known here; rewriting it would lose them");
        }
        Ok(model)
    }
}

impl Tensor {
    /// A constant of 32-bit floats.
    pub fn floats(name: String, dims: Vec<i64>, values: impl IntoIterator<Item = f32>) -> Self {
        let raw = values.into_iter().flat_map(f32::to_le_bytes).collect();
        Self { dims, data_type: Some(FLOAT), name: Some(name), raw_data: Some(raw), ..Default::default() }
    }

    /// A constant list of 64-bit integers.
    pub fn integers(name: String, values: &[i64]) -> Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let dims = vec![values.len() as i64];
        Self { dims, data_type: Some(INT64), name: Some(name), raw_data: Some(raw), ..Default::default() }
    }

    /// The elements, if they are 32-bit floats kept in the file itself.
    pub fn as_floats(&self) -> Option<Vec<f32>> {
        if self.data_type != Some(FLOAT) || !self.external_data.is_empty() {
            return None;
        }
        match &self.raw_data {
            Some(raw) => Some(raw.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
            None => Some(self.float_data.clone()),
        }
    }

    /// The elements, if they are 64-bit integers kept in the file itself.
    pub fn as_integers(&self) -> Option<Vec<i64>> {
        if self.data_type != Some(INT64) || !self.external_data.is_empty() {
            return None;
        }
        match &self.raw_data {
            Some(raw) => Some(raw.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            None => Some(self.int64_data.clone()),
        }
    }
}

impl Node {
    /// A node with one output, named after it.
    pub fn new(op_type: &str, input: &[&str], output: String, attribute: Vec<Attribute>) -> Self {
        Self {
            input: input.iter().map(|&i| i.to_owned()).collect(),
            name: Some(output.clone()),
            output: vec![output],
            op_type: Some(op_type.to_owned()),
            attribute,
            ..Default::default()
        }
    }
}

impl Attribute {
    /// An integer (`AttributeType.INT` is 2).
    pub fn int(name: &str, value: i64) -> Self {
        Self { name: Some(name.to_owned()), i: Some(value), kind: Some(2), ..Default::default() }
    }

    /// A list of integers (`AttributeType.INTS` is 7).
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self { name: Some(name.to_owned()), ints: values.to_vec(), kind: Some(7), ..Default::default() }
    }
}

impl ValueInfo {
    /// The dimensions, if it is a tensor of known rank.
    pub fn dims_mut(&mut self) -> Option<&mut Vec<Dimension>> {
        Some(&mut self.r#type.as_mut()?.tensor_type.as_mut()?.shape.as_mut()?.dim)
    }
}
