"""The commands of `netguard`, one file each; `contract` says what such a file has."""
