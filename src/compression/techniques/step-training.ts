/** `training`: a step's own training settings, which override the job's. */
import { Type } from 'typebox';
import { Training } from '../../contracts/job-request.ts';

export const StepTraining = Type.Optional({
  ...Training,
  description: "overrides the job's training settings for this step",
});
