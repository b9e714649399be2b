"""`keras.ops.nn`: activations, windows, normalisation, attention, cross-entropies."""

from graphc.ops.activations import *  # noqa: F403
from graphc.ops.activations import SELU_ALPHA as SELU_ALPHA
from graphc.ops.activations import SELU_SCALE as SELU_SCALE
from graphc.ops.crossentropy import *  # noqa: F403
from graphc.ops.ctc import *  # noqa: F403
from graphc.ops.indexing import multi_hot as multi_hot
from graphc.ops.normalizing import *  # noqa: F403
from graphc.ops.shapes import one_hot as one_hot
from graphc.ops.windows import *  # noqa: F403
