"""`keras.ops`: functions on tensors, arrays and numbers; layers, losses and optimizers are written with them."""

from graphc.ops import image as image
from graphc.ops import linalg as linalg
from graphc.ops import nn as nn
from graphc.ops import numpy as numpy
from graphc.ops.activations import *  # noqa: F403
from graphc.ops.arithmetic import *  # noqa: F403
from graphc.ops.arrangement import *  # noqa: F403
from graphc.ops.contractions import *  # noqa: F403
from graphc.ops.control import *  # noqa: F403
from graphc.ops.crossentropy import *  # noqa: F403
from graphc.ops.ctc import *  # noqa: F403
from graphc.ops.drawing import *  # noqa: F403
from graphc.ops.elementwise import *  # noqa: F403
from graphc.ops.indexing import *  # noqa: F403
from graphc.ops.linalg import *  # noqa: F403
from graphc.ops.normalizing import *  # noqa: F403
from graphc.ops.reductions import *  # noqa: F403
from graphc.ops.shapes import *  # noqa: F403
from graphc.ops.signal import *  # noqa: F403
from graphc.ops.sorting import *  # noqa: F403
from graphc.ops.statistics import *  # noqa: F403
from graphc.ops.transforms import *  # noqa: F403
from graphc.ops.windows import *  # noqa: F403
