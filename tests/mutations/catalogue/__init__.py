"""All mutations, by where they strike."""

from tests.mutations.catalogue import answering, commanding, deriving, observing, reading_the_log, replaying, writing
from tests.mutations.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    *writing.MUTATIONS,
    *answering.MUTATIONS,
    *commanding.MUTATIONS,
    *deriving.MUTATIONS,
    *reading_the_log.MUTATIONS,
    *observing.MUTATIONS,
    *replaying.MUTATIONS,
)
