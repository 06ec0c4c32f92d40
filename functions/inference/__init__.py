"""The function of one model: loads a released version at start and answers V2 calls with it."""
