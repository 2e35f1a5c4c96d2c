"""The names a plugin needs; `from credbench import Learner` finds them too."""

from credbench.activations import Activation as Activation
from credbench.architectures import Architecture as Architecture
from credbench.cache import Cache as Cache
from credbench.component import Component as Component
from credbench.component import Search as Search
from credbench.component import parameter as parameter
from credbench.errors import RequestError as RequestError
from credbench.folders import Files as Files
from credbench.folders import Listing as Listing
from credbench.folders import decode as decode
from credbench.folders import find_files as find_files
from credbench.folders import list_part as list_part
from credbench.images import Dataset as Dataset
from credbench.images import Images as Images
from credbench.images import Preprocessing as Preprocessing
from credbench.layers import Layers as Layers
from credbench.layers import as_maps as as_maps
from credbench.layers import in_line as in_line
from credbench.learner import Capabilities as Capabilities
from credbench.learner import Learner as Learner
from credbench.learner import Pass as Pass
from credbench.learner import Step as Step
from credbench.learner import Updates as Updates
from credbench.networks import Activities as Activities
from credbench.networks import Network as Network
