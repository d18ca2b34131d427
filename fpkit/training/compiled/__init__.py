"""Whole updates of networks in compiled code, on the CPU.

A network of 16 units is trained in the time of one call of torch, and a large one without the passes over its
activations that separate calls need. The code, library.cpp and all that it includes, is compiled as one on first use by
the machine's own C++ compiler, for its own processor, and kept in the user's cache (`compiler`). Where there is no
compiler, torch does the same (fpkit.training.stacked), to float tolerance. But for records along a basis, and a
transformer's initial parameters, nothing here needs torch, whose import takes longer than many a training.
"""
