"""``vidtrans doctor --self-test``: does this machine compute what it should, and how fast is it?

A kind of check is a function in a file of its own. It takes the ``Subject``, and returns a function for each thing that
it checks, by name; each of these returns a ``Verdict``. What one raises is a verdict too. Pictures, clips and networks
are made up, all files are temporary.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry

CHECKS = {
    "device": Entry("vidtrans.self_test.device_check:device_checks", "what the device is and has"),
    "engine": Entry("vidtrans.self_test.engine_check:engine_checks", "engines paint what eager torch does on a CPU"),
    "products": Entry(
        "vidtrans.self_test.product_check:product_checks", "convolutions and their gradients are those in fp32"
    ),
    "filter": Entry("vidtrans.self_test.filter_check:filter_checks", "filters on the device equal those in NumPy"),
    "flow": Entry("vidtrans.self_test.flow_check:flow_checks", "flow methods find a motion that is known"),
    "memory": Entry("vidtrans.self_test.memory_check:memory_checks", "memory that runs out changes no result"),
    "training": Entry("vidtrans.self_test.training_check:training_checks", "a resumed training ends the same"),
    "rates": Entry("vidtrans.self_test.rate_check:rate_checks", "how fast each step is"),
}
