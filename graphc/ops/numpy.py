"""`keras.ops.numpy`: the ops that have numpy's names."""

from graphc.ops.arithmetic import *  # noqa: F403
from graphc.ops.arrangement import *  # noqa: F403
from graphc.ops.contractions import *  # noqa: F403
from graphc.ops.elementwise import *  # noqa: F403
from graphc.ops.indexing import *  # noqa: F403
from graphc.ops.linalg import norm as norm
from graphc.ops.linalg import slogdet as slogdet
from graphc.ops.reductions import *  # noqa: F403
from graphc.ops.shapes import *  # noqa: F403
from graphc.ops.sorting import *  # noqa: F403
from graphc.ops.statistics import *  # noqa: F403
from graphc.ops.transforms import vectorize as vectorize
