"""What older versions of Keras called things, accepted with a DeprecationWarning (`config.set_legacy_names`)."""
