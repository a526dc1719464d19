//! Parts of a graph that is written from scratch.

use prost::Message;

use super::proto::{Attribute, Dimension, FLOAT, Graph, Model, Shape, TensorType, Type, ValueInfo};

/// The operator set that graphs are written in: of 2020, which every runtime and device that is supported knows.
const OPERATOR_SET: i64 = 13;
/// The version of the format that goes with it.
const IR_VERSION: i64 = 7;

/// `OperatorSetIdProto`
#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, optional, tag = "1")]
    domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    version: Option<i64>,
}

impl Model {
    /// A model of this graph, in operator set 13.
    pub fn of(graph: Graph) -> Self {
        let operators = OperatorSet { domain: Some(String::new()), version: Some(OPERATOR_SET) };
        Self {
            ir_version: Some(IR_VERSION),
            producer_name: Some("watchlistd".to_owned()),
            graph: Some(graph),
            opset_import: vec![operators.encode_to_vec()],
            ..Default::default()
        }
    }
}

impl Attribute {
    /// A number (`AttributeType.FLOAT` is 1).
    pub fn float(name: &str, value: f32) -> Self {
        Self { name: Some(name.to_owned()), f: Some(value), kind: Some(1), ..Default::default() }
    }

    /// A text (`AttributeType.STRING` is 3).
    pub fn text(name: &str, value: &str) -> Self {
        Self { name: Some(name.to_owned()), s: Some(value.into()), kind: Some(3), ..Default::default() }
    }
}

impl Dimension {
    /// Of this size.
    pub fn fixed(size: usize) -> Self {
        Self { dim_value: i64::try_from(size).ok(), ..Default::default() }
    }

    /// Of a size that each run chooses.
    pub fn symbolic(name: &str) -> Self {
        Self { dim_param: Some(name.to_owned()), ..Default::default() }
    }
}

impl ValueInfo {
    /// An input or output of 32-bit floats.
    pub fn floats(name: &str, dim: impl Into<Vec<Dimension>>) -> Self {
        let tensor = TensorType { elem_type: Some(FLOAT), shape: Some(Shape { dim: dim.into() }) };
        Self {
            name: Some(name.to_owned()),
            r#type: Some(Type { tensor_type: Some(tensor), ..Default::default() }),
            ..Default::default()
        }
    }
}
