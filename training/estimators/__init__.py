"""Estimators: models that scikit-learn, XGBoost or LightGBM fit, from recipe to a file that is served."""
