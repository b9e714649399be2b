"""Passes: functions from graph to graph, one file each; import the module you need (`from passes.cse import cse`)."""
