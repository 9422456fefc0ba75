"""Adam in one kernel per weight: Kingma & Ba, Adam: A Method for Stochastic Optimization, 2014, arXiv:1412.6980."""

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Keras's Adam, the same updates to rounding, with fewer passes through memory.

    Keras writes them as some ten operations, each of which goes through all of a weight's memory; TensorFlow's own
    kernel goes through it once. On networks with more weights than a small batch has work for, as VGG16's upper
    blocks, the optimizer is a good part of an update.
    """

    def update_step(self, gradient, variable, learning_rate) -> None:
        """Move one weight and its moments."""
        position, dtype = self._get_variable_index(variable), variable.dtype
        step = tf.cast(self.iterations.value + 1, dtype)
        first, second = (tf.constant(beta, dtype) for beta in (self.beta_1, self.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[position].value.handle,
            v=self._velocities[position].value.handle,
            beta1_power=first**step,
            beta2_power=second**step,
            lr=tf.cast(learning_rate, dtype),
            beta1=first,
            beta2=second,
            epsilon=tf.constant(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )
