"""What a study file may ask for before its registered runs → spec.study."""
