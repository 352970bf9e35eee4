# SPDX-License-Identifier: BSD-3-Clause
# The unit tests: every GoogleTest binary in build/test/unit/bin, each test of it counted by itself.
import os

import lit.formats

config.name = "unit"
config.test_source_root = os.path.join(config.osv_obj, "test", "unit")
config.test_exec_root = config.test_source_root
config.test_format = lit.formats.GoogleTest("bin", "Tests")
config.environment["OSV_TEST_INPUTS"] = os.path.join(config.osv_src, "test", "Inputs")
