"""The application as workers find it: imported once by the process that they are forked from."""

import gc

gc.disable()  # nearly all that is made now stays

import pamps.app  # noqa: E402, F401

gc.collect()
gc.freeze()  # no later collection looks at it, so that workers share its memory
gc.enable()
