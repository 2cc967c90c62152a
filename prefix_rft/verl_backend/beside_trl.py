"""Lets verl work where TRL is installed too; verl itself imports this at its start (`VERL_USE_EXTERNAL_MODULES`).

Wherever TRL can be found, verl 0.9 changes TRL's model with a value head, which TRL 1.x has no more: no worker would
start. No method here has a critic, so verl is told that there is no TRL.
"""

from verl.utils import import_utils

import_utils.is_trl_available = lambda: False
