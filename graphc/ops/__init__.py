"""`keras.ops`: functions on tensors, arrays and numbers; layers, losses and optimizers are written with them."""

from graphc.ops.arithmetic import *  # noqa: F403
from graphc.ops.contractions import *  # noqa: F403
from graphc.ops.control import *  # noqa: F403
from graphc.ops.elementwise import *  # noqa: F403
from graphc.ops.linalg import *  # noqa: F403
from graphc.ops.nn import *  # noqa: F403
from graphc.ops.reductions import *  # noqa: F403
from graphc.ops.shapes import *  # noqa: F403
from graphc.ops.sorting import *  # noqa: F403
