"""What the published graph answers to two pictures that are made of nothing but their places: for a comparison with the converted one."""

import sys

import numpy
import tensorflow as tf

graph_file, input_name, output_name, size, answers = sys.argv[1:]
size = int(size)
graph = tf.compat.v1.GraphDef()
with open(graph_file, "rb") as file:
    graph.ParseFromString(file.read())
places = numpy.arange(2 * 3 * size * size, dtype=numpy.int64)
# The same numbers as in recipe.rs, in planes; this graph wants them by pixel.
planes = ((places * 7919 % 1021).astype(numpy.float32) / 510.0 - 1.0).reshape(2, 3, size, size)
with tf.Graph().as_default() as built:
    tf.import_graph_def(graph, name="")
    with tf.compat.v1.Session(graph=built) as session:
        rows = [session.run(output_name, {input_name: planes[n : n + 1].transpose(0, 2, 3, 1)}) for n in range(2)]
numpy.concatenate(rows).astype("<f4").tofile(answers)
