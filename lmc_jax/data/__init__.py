"""Data sets: MNIST, Fashion-MNIST, CIFAR-10, one's own."""
