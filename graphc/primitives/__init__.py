"""The ops of the graph IR, a module per family; importing the package fills `graphc.ir.op.REGISTRY`."""

from graphc.primitives import attention as attention
from graphc.primitives import contraction as contraction
from graphc.primitives import control as control
from graphc.primitives import conv as conv
from graphc.primitives import elementwise as elementwise
from graphc.primitives import gates as gates
from graphc.primitives import index as index
from graphc.primitives import pool as pool
from graphc.primitives import random as random
from graphc.primitives import reduce as reduce
from graphc.primitives import shape as shape
from graphc.primitives import source as source
from graphc.primitives import winograd as winograd
