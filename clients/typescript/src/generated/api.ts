/** Generated from openapi.yaml by `npm run openapi`: change the route schemas instead. */
export interface paths {
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The process answers */
        get: operations["getHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Database, queue and artifact store can be used */
        get: operations["getReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Metrics for Prometheus */
        get: operations["getMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document */
        get: operations["getDocument"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/models": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List models, newest first */
        get: operations["listModels"];
        put?: never;
        /**
         * Upload a model
         * @description ONNX, Keras (.h5, .keras) or a zip of a TF.js model. The same bytes again give the same model.
         */
        post: operations["createModel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/models/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A model */
        get: operations["getModel"];
        put?: never;
        post?: never;
        /**
         * Delete a model
         * @description Jobs that have ended keep their reports and artifacts.
         */
        delete: operations["deleteModel"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/datasets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List datasets, newest first */
        get: operations["listDatasets"];
        put?: never;
        /**
         * Upload a dataset
         * @description npz, a zip of idx files, a zip of image folders, or csv. The same bytes, read in the same way, give the same dataset.
         */
        post: operations["createDataset"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/datasets/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A dataset */
        get: operations["getDataset"];
        put?: never;
        post?: never;
        /**
         * Delete a dataset
         * @description Jobs that have ended keep their reports and artifacts.
         */
        delete: operations["deleteDataset"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/jobs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List jobs, newest first */
        get: operations["listJobs"];
        put?: never;
        /**
         * Submit a job
         * @description All steps are checked against the model and the data before anything is stored; `errors` lists every problem.
         */
        post: operations["createJob"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/jobs/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A job */
        get: operations["getJob"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/jobs/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel a job
         * @description A queued job ends at once; a running one is `canceling` until its worker has stopped.
         */
        post: operations["cancelJob"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/jobs/{id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow a job
         * @description Server-sent events: those there are, then each as it happens; the stream ends after the job's last one. The event types: queued, waiting, started, progress, metric, warning, step, retrying, canceling, succeeded, failed, canceled, expired.
         */
        get: operations["followEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/jobs/{id}/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The evidence of a job: what was measured before and after */
        get: operations["getReport"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/jobs/{id}/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The course of a job's training metrics, by step, epoch and name */
        get: operations["listMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/artifacts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List artifacts, newest first */
        get: operations["listArtifacts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/artifacts/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** An artifact */
        get: operations["getArtifact"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/artifacts/{id}/content": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download an artifact */
        get: operations["getArtifactContent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/techniques": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The techniques that steps may name */
        get: operations["listTechniques"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/techniques/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A technique and its parameters */
        get: operations["getTechnique"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/workers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Live workers: their pools, devices, and what each is doing */
        get: operations["listWorkers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List API keys, newest first (administrators) */
        get: operations["listKeys"];
        put?: never;
        /** Make an API key (administrators) */
        post: operations["createKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revoke an API key (administrators) */
        delete: operations["deleteKey"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Artifact: {
            id: string;
            name: string;
            format: string;
            sizeBytes: number;
            /** @description lower-case hex */
            sha256: string;
            job: string;
            model: string;
            step: number | null;
            /** Format: date-time */
            createdAt: string;
        };
        ArtifactPage: {
            items: components["schemas"]["Artifact"][];
            nextCursor: string | null;
        };
        CreatedKey: {
            id: string;
            tenant: string;
            name: string;
            /** @enum {unknown} */
            role: "administrator" | "member";
            /** @description first characters, to recognise it */
            prefix: string;
            /** Format: date-time */
            createdAt: string;
            lastUsedAt: string | null;
            /** @description shown this once */
            key: string;
        };
        Dataset: {
            id: string;
            name: string;
            /** @enum {unknown} */
            format: "npz" | "idx" | "images" | "csv" | "parquet";
            /** @description lower-case hex */
            sha256: string;
            sizeBytes: number;
            samples: number;
            splits: {
                train: number;
                validation: number;
                test: number;
            };
            /** @description shape without the sample axis; null: varies (images of several sizes) */
            inputs: {
                name: string;
                /** @description ONNX element type, lower case */
                dtype: string;
                /** @description null: a dimension left open */
                shape: (number | null)[];
            }[];
            /** @description inputs of integers of 32 or 64 bits: the first sample of each extreme */
            ranges?: {
                input: string;
                min: {
                    value: number;
                    /** @enum {unknown} */
                    split: "train" | "validation" | "test";
                    /** @description counts from 0 in the array or table of that split */
                    sample: number;
                };
                max: {
                    value: number;
                    /** @enum {unknown} */
                    split: "train" | "validation" | "test";
                    /** @description counts from 0 in the array or table of that split */
                    sample: number;
                };
            }[];
            target: {
                kind: "classes" | "values" | "none";
                classes: number | null;
                /** @description class names, in index order */
                names?: string[];
                /** @description shape of one target, for values */
                shape?: number[];
            };
            /** @description how the file is read, as given at the upload */
            options: {
                [key: string]: string;
            };
            /** Format: date-time */
            createdAt: string;
        };
        DatasetPage: {
            items: components["schemas"]["Dataset"][];
            nextCursor: string | null;
        };
        DryRun: {
            /** @enum {boolean} */
            valid: true;
            /** @description with every default filled in */
            request: {
                model: string;
                dataset?: string;
                name?: string;
                labels?: {
                    [key: string]: string;
                };
                /** @default 0 */
                seed?: number;
                /**
                 * @default auto
                 * @enum {unknown}
                 */
                device?: "auto" | "cpu" | "gpu";
                transform?: {
                    /** @description x * scale, before mean and std; default 1 */
                    scale?: number;
                    /** @description per channel, or one for all */
                    mean?: number[];
                    /** @description per channel, or one for all */
                    std?: number[];
                    /** @description [height, width]; default: the model's input size */
                    resize?: number[];
                };
                target?: {
                    /**
                     * @description how whole numbers of the target are read; "auto": classes, but values where more than two of them meet a model with one float for each sample
                     * @default auto
                     * @enum {unknown}
                     */
                    kind: "auto" | "classes" | "values";
                };
                steps: ({
                    technique: string;
                } & {
                    [key: string]: unknown;
                })[];
                training?: {
                    /** @default 128 */
                    batchSize?: number;
                    /**
                     * @default adam
                     * @enum {unknown}
                     */
                    optimizer?: "sgd" | "adam" | "adamw";
                    /** @default 0.001 */
                    learningRate?: number;
                    /**
                     * @description sgd only
                     * @default 0.9
                     */
                    momentum?: number;
                    /** @default false */
                    nesterov?: boolean;
                    /** @default 0 */
                    weightDecay?: number;
                    /** @description global gradient norm */
                    clipNorm?: number;
                    schedule?: {
                        /** @enum {unknown} */
                        kind: "constant" | "step" | "cosine";
                        /** @default 0 */
                        warmupSteps?: number;
                        /** @description step: epochs between decays */
                        stepEpochs?: number;
                        /** @description step: multiplier at each decay */
                        factor?: number;
                    };
                    /**
                     * @default auto
                     * @enum {unknown}
                     */
                    loss?: "auto" | "cross-entropy" | "binary-cross-entropy" | "mse" | "kl";
                    epochs?: number;
                    /** @description where the dataset has no validation split; default 0.1 */
                    validationFraction?: number;
                };
                parallel?: {
                    /**
                     * @description none: training runs in one process; sync: in several, each on its share of every batch, with the result of one; async: replicas send gradients to a parameter server as they have them, without waiting for each other; pipeline and branch are refused
                     * @enum {unknown}
                     */
                    mode: "none" | "sync" | "async" | "pipeline" | "branch";
                    /**
                     * @description processes that train; auto: as many as the job has threads
                     * @default auto
                     */
                    replicas?: number | "auto";
                    /**
                     * @description sync: what happens when a replica is gone. restart: the step starts again from its last checkpoint, with as many replicas
                     * @default restart
                     * @enum {unknown}
                     */
                    onLoss?: "restart" | "shrink" | "wait";
                    /** @description pipeline, branch: parts that the model is cut into */
                    stages?: number;
                    /** @description pipeline: parts of a batch that are under way at a time */
                    microBatches?: number;
                    /** @description async */
                    staleness?: {
                        /** @description updates that a gradient may be late; others wait for it */
                        max?: number;
                        /** @description learning rate over staleness (arXiv 1511.05950); default true */
                        scaleLearningRate?: boolean;
                        /** @description delay compensation (DC-ASGD, arXiv 1609.08326); default false */
                        compensate?: boolean;
                    };
                    /** @description async: batches that a replica trains on by itself between two exchanges (DiLoCo, arXiv 2311.08105; delayed Nesterov, 2401.09135); default 1 */
                    localSteps?: number;
                    /**
                     * @description sync: BatchNormalization takes the statistics of the whole batch, not of each replica's share
                     * @default true
                     */
                    syncBatchNorm?: boolean;
                    compression?: {
                        /** @description async: share of each gradient that is sent; what is left is added to the next one */
                        topK: number;
                    };
                };
                loader?: {
                    /**
                     * @description threads that read, decode and augment samples. 0: the training process does it itself; cores: as many as there are; auto: measured in the first training steps, then fixed. The batches are the same whatever it is
                     * @default auto
                     */
                    numWorkers?: number | "auto" | "cores";
                    /** @description random changes of training samples, one after another; never of validation and test samples. Drawn from seed, epoch and sample, so that they do not depend on workers and replicas */
                    augment?: ({
                        /** @enum {string} */
                        kind: "flip";
                        /**
                         * @description horizontal: left becomes right
                         * @default horizontal
                         * @enum {unknown}
                         */
                        direction?: "horizontal" | "vertical";
                        /**
                         * @description share of the samples that are flipped
                         * @default 0.5
                         */
                        probability?: number;
                    } | {
                        /** @enum {string} */
                        kind: "crop";
                        /**
                         * @description pixels of value 0 added on every side
                         * @default 4
                         */
                        padding?: number;
                    } | {
                        /** @enum {string} */
                        kind: "shift";
                        /**
                         * @description most, to either side, as a share of the image's width
                         * @default 0.1
                         */
                        x?: number;
                        /**
                         * @description most, up or down, as a share of the image's height
                         * @default 0.1
                         */
                        y?: number;
                    } | {
                        /** @enum {string} */
                        kind: "rotate";
                        /**
                         * @description most, in either direction
                         * @default 15
                         */
                        degrees?: number;
                    } | {
                        /** @enum {string} */
                        kind: "colour";
                        /**
                         * @description all values: the factor is drawn from 1 - value to 1 + value
                         * @default 0.2
                         */
                        brightness?: number;
                        /**
                         * @description distance to the mean grey: the factor is drawn from 1 - value to 1 + value
                         * @default 0.2
                         */
                        contrast?: number;
                        /**
                         * @description distance to the grey of the pixel: the factor is drawn from 1 - value to 1 + value
                         * @default 0.2
                         */
                        saturation?: number;
                        /**
                         * @description most, as a share of the colour circle
                         * @default 0
                         */
                        hue?: number;
                    } | {
                        /** @enum {string} */
                        kind: "cutout";
                        /**
                         * @description side of the square in pixels
                         * @default 8
                         */
                        size?: number;
                    } | {
                        /** @enum {string} */
                        kind: "mixup";
                        /**
                         * @description the share of the other sample is drawn from Beta(alpha, alpha)
                         * @default 0.2
                         */
                        alpha?: number;
                    } | {
                        /** @enum {string} */
                        kind: "noise";
                        /**
                         * @description standard deviation, in units of the input of the model (after transform)
                         * @default 0.05
                         */
                        sigma?: number;
                    } | {
                        /** @enum {string} */
                        kind: "scale";
                        /**
                         * @description standard deviation of the factor, whose mean is 1
                         * @default 0.1
                         */
                        sigma?: number;
                    })[];
                    /**
                     * @description samples that cannot be decoded while training are replaced by others, with a warning, up to this share of the split; beyond it the job fails
                     * @default 0.01
                     */
                    maxBrokenShare?: number;
                };
                /** @description formats to give the result in, beside ONNX and the upload's own */
                export?: {
                    /** @enum {unknown} */
                    format: "tfjs-graph";
                    /**
                     * @description how weights are stored; default: as the last quantizing step says, else float32
                     * @enum {unknown}
                     */
                    weights?: "float32" | "float16" | "uint16" | "uint8";
                }[];
                limits?: {
                    /** @default 3600 */
                    queueSeconds?: number;
                    /** @default 3600 */
                    runSeconds?: number;
                };
            };
            estimate: {
                seconds: number | null;
                memoryBytes: number;
                steps: {
                    technique: string;
                    seconds: number | null;
                }[];
            };
        };
        Health: {
            /** @enum {string} */
            status: "ok";
        };
        Job: {
            id: string;
            name: string | null;
            labels: {
                [key: string]: string;
            };
            state: components["schemas"]["JobState"];
            model: string;
            dataset: string | null;
            /** @enum {unknown} */
            device: "auto" | "cpu" | "gpu";
            seed: number;
            steps: components["schemas"]["JobStep"][];
            progress: number;
            /** @description workers that have taken the job */
            attempt: number;
            artifacts: components["schemas"]["Artifact"][];
            recommended: string | null;
            report: {
                before: {
                    sizeBytes: number;
                    gzipBytes: number;
                    parameters: number;
                    nonZero: number;
                    macs: number | null;
                    accuracy: {
                        top1: number | null;
                        loss: number;
                        samples: number;
                        split: string;
                    } | null;
                    fidelity: {
                        top1Agreement: number | null;
                        sqnrDb: number | null;
                        maxAbsError: number;
                        samples: number;
                        exact?: {
                            top1Agreement: number | null;
                            sqnrDb: number | null;
                            maxAbsError: number;
                            /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                            saturatingProducts: number;
                        } | null;
                    };
                    latencyMs: {
                        /** @description ms */
                        median: number;
                        /** @description ms */
                        p90: number;
                        batch: number;
                        threads: number;
                        runs: number;
                        /** @description runtime and version */
                        runtime: string;
                        /** @description of the machine that measured; absent in older reports */
                        processor?: string;
                        /** @description those of its instruction sets that kernels are chosen by, the newest last */
                        instructionSets?: string[];
                        simulated: boolean;
                    } | null;
                };
                after: {
                    sizeBytes: number;
                    gzipBytes: number;
                    parameters: number;
                    nonZero: number;
                    macs: number | null;
                    accuracy: {
                        top1: number | null;
                        loss: number;
                        samples: number;
                        split: string;
                    } | null;
                    fidelity: {
                        top1Agreement: number | null;
                        sqnrDb: number | null;
                        maxAbsError: number;
                        samples: number;
                        exact?: {
                            top1Agreement: number | null;
                            sqnrDb: number | null;
                            maxAbsError: number;
                            /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                            saturatingProducts: number;
                        } | null;
                    };
                    latencyMs: {
                        /** @description ms */
                        median: number;
                        /** @description ms */
                        p90: number;
                        batch: number;
                        threads: number;
                        runs: number;
                        /** @description runtime and version */
                        runtime: string;
                        /** @description of the machine that measured; absent in older reports */
                        processor?: string;
                        /** @description those of its instruction sets that kernels are chosen by, the newest last */
                        instructionSets?: string[];
                        simulated: boolean;
                    } | null;
                };
                steps: {
                    technique: string;
                    after: {
                        sizeBytes: number;
                        gzipBytes: number;
                        parameters: number;
                        nonZero: number;
                        macs: number | null;
                        accuracy: {
                            top1: number | null;
                            loss: number;
                            samples: number;
                            split: string;
                        } | null;
                        fidelity: {
                            top1Agreement: number | null;
                            sqnrDb: number | null;
                            maxAbsError: number;
                            samples: number;
                            exact?: {
                                top1Agreement: number | null;
                                sqnrDb: number | null;
                                maxAbsError: number;
                                /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                                saturatingProducts: number;
                            } | null;
                        };
                        latencyMs: {
                            /** @description ms */
                            median: number;
                            /** @description ms */
                            p90: number;
                            batch: number;
                            threads: number;
                            runs: number;
                            /** @description runtime and version */
                            runtime: string;
                            /** @description of the machine that measured; absent in older reports */
                            processor?: string;
                            /** @description those of its instruction sets that kernels are chosen by, the newest last */
                            instructionSets?: string[];
                            simulated: boolean;
                        } | null;
                    };
                    /** @description analyze: what the model loses when one layer alone is pruned or quantized, measured in onnxruntime; nothing is retrained */
                    sensitivity?: {
                        /**
                         * @description what `drop` counts. top1: accuracy that is lost, 0..1; loss: its growth as a share; without labels top1Agreement: share of samples that get another class; noise: squared difference of the outputs as a share of their squares
                         * @enum {unknown}
                         */
                        metric: "top1" | "loss" | "top1Agreement" | "noise";
                        baseline: {
                            top1: number | null;
                            loss: number;
                        } | null;
                        samples: number;
                        /**
                         * @description validation: the split, or what training would hold out for it; train: a dataset of one sample; random: no dataset
                         * @enum {unknown}
                         */
                        data: "validation" | "train" | "random";
                        /** @description a layer that costs more is recommended for exclusion */
                        tolerance: number;
                        /** @description the most sensitive first */
                        layers: {
                            /** @description the layer's weight, as layer filters call it */
                            weight: string;
                            /** @description nodes and values that layer filters find it by as well */
                            nodes: string[];
                            parameters: number;
                            /** @description the greatest of its trials */
                            drop: number;
                            trials: {
                                /**
                                 * @description prune: the smallest weights are zeros; int8: weights have 8 bits, one scale per output channel
                                 * @enum {unknown}
                                 */
                                kind: "prune" | "int8";
                                sparsity: number | null;
                                /** @description how much worse the model gets by the metric; 0: not at all, less: better */
                                drop: number;
                                top1: number | null;
                                loss: number | null;
                                top1Agreement: number | null;
                                sqnrDb: number | null;
                            }[];
                        }[];
                        recommendations: {
                            /** @enum {unknown} */
                            kind: "prune" | "int8";
                            sparsity: number | null;
                            /** @description weights, for `layers.exclude` of the step that does this */
                            exclude: string[];
                        }[];
                    };
                    /** @description how the processes of a parallel training spent their time */
                    parallel?: {
                        mode: string;
                        /** @description processes that trained together, at the end */
                        replicas: number;
                        /** @description training steps that the figures are means of */
                        steps: number;
                        /** @description by replica: a training step's own computing, ms, without exchange and waiting */
                        stepMs: number[];
                        /** @description exchange of a training step, ms, for the replica that others waited for */
                        exchangeMs: number;
                        /** @description 0..1 of the time of all replicas: waiting for a slower one, or for work */
                        waitShare: number;
                        /** @description async, by replica */
                        samplesPerSecond?: number[];
                        /** @description async: gradients by how many updates of the weights came between their pull and their use */
                        staleness?: number[];
                    };
                    /** @description how samples were loaded in the step's last training */
                    loader?: {
                        asked: number | "auto" | "cores";
                        /** @description threads that made batches; with auto, the number that was chosen */
                        numWorkers: number;
                        /** @description share of the training time that the device waited for batches, 0..1 */
                        waitShare: number;
                    };
                }[];
                /** @description how the processes of a parallel training spent their time */
                parallel?: {
                    mode: string;
                    /** @description processes that trained together, at the end */
                    replicas: number;
                    /** @description training steps that the figures are means of */
                    steps: number;
                    /** @description by replica: a training step's own computing, ms, without exchange and waiting */
                    stepMs: number[];
                    /** @description exchange of a training step, ms, for the replica that others waited for */
                    exchangeMs: number;
                    /** @description 0..1 of the time of all replicas: waiting for a slower one, or for work */
                    waitShare: number;
                    /** @description async, by replica */
                    samplesPerSecond?: number[];
                    /** @description async: gradients by how many updates of the weights came between their pull and their use */
                    staleness?: number[];
                };
                exports?: {
                    name: string;
                    format: string;
                    /** @description how the file stores its weights */
                    weights: string;
                    sizeBytes: number;
                    gzipBytes: number;
                    accuracy: {
                        top1: number | null;
                        loss: number;
                        samples: number;
                        split: string;
                    } | null;
                    fidelity: {
                        top1Agreement: number | null;
                        sqnrDb: number | null;
                        maxAbsError: number;
                        samples: number;
                        exact?: {
                            top1Agreement: number | null;
                            sqnrDb: number | null;
                            maxAbsError: number;
                            /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                            saturatingProducts: number;
                        } | null;
                    };
                }[];
                warnings: {
                    code: string;
                    message: string;
                    step?: number;
                }[];
            } | null;
            error: components["schemas"]["JobError"] | null;
            /** @description as submitted, with every default filled in */
            request: {
                model: string;
                dataset?: string;
                name?: string;
                labels?: {
                    [key: string]: string;
                };
                /** @default 0 */
                seed?: number;
                /**
                 * @default auto
                 * @enum {unknown}
                 */
                device?: "auto" | "cpu" | "gpu";
                transform?: {
                    /** @description x * scale, before mean and std; default 1 */
                    scale?: number;
                    /** @description per channel, or one for all */
                    mean?: number[];
                    /** @description per channel, or one for all */
                    std?: number[];
                    /** @description [height, width]; default: the model's input size */
                    resize?: number[];
                };
                target?: {
                    /**
                     * @description how whole numbers of the target are read; "auto": classes, but values where more than two of them meet a model with one float for each sample
                     * @default auto
                     * @enum {unknown}
                     */
                    kind: "auto" | "classes" | "values";
                };
                steps: ({
                    technique: string;
                } & {
                    [key: string]: unknown;
                })[];
                training?: {
                    /** @default 128 */
                    batchSize?: number;
                    /**
                     * @default adam
                     * @enum {unknown}
                     */
                    optimizer?: "sgd" | "adam" | "adamw";
                    /** @default 0.001 */
                    learningRate?: number;
                    /**
                     * @description sgd only
                     * @default 0.9
                     */
                    momentum?: number;
                    /** @default false */
                    nesterov?: boolean;
                    /** @default 0 */
                    weightDecay?: number;
                    /** @description global gradient norm */
                    clipNorm?: number;
                    schedule?: {
                        /** @enum {unknown} */
                        kind: "constant" | "step" | "cosine";
                        /** @default 0 */
                        warmupSteps?: number;
                        /** @description step: epochs between decays */
                        stepEpochs?: number;
                        /** @description step: multiplier at each decay */
                        factor?: number;
                    };
                    /**
                     * @default auto
                     * @enum {unknown}
                     */
                    loss?: "auto" | "cross-entropy" | "binary-cross-entropy" | "mse" | "kl";
                    epochs?: number;
                    /** @description where the dataset has no validation split; default 0.1 */
                    validationFraction?: number;
                };
                parallel?: {
                    /**
                     * @description none: training runs in one process; sync: in several, each on its share of every batch, with the result of one; async: replicas send gradients to a parameter server as they have them, without waiting for each other; pipeline and branch are refused
                     * @enum {unknown}
                     */
                    mode: "none" | "sync" | "async" | "pipeline" | "branch";
                    /**
                     * @description processes that train; auto: as many as the job has threads
                     * @default auto
                     */
                    replicas?: number | "auto";
                    /**
                     * @description sync: what happens when a replica is gone. restart: the step starts again from its last checkpoint, with as many replicas
                     * @default restart
                     * @enum {unknown}
                     */
                    onLoss?: "restart" | "shrink" | "wait";
                    /** @description pipeline, branch: parts that the model is cut into */
                    stages?: number;
                    /** @description pipeline: parts of a batch that are under way at a time */
                    microBatches?: number;
                    /** @description async */
                    staleness?: {
                        /** @description updates that a gradient may be late; others wait for it */
                        max?: number;
                        /** @description learning rate over staleness (arXiv 1511.05950); default true */
                        scaleLearningRate?: boolean;
                        /** @description delay compensation (DC-ASGD, arXiv 1609.08326); default false */
                        compensate?: boolean;
                    };
                    /** @description async: batches that a replica trains on by itself between two exchanges (DiLoCo, arXiv 2311.08105; delayed Nesterov, 2401.09135); default 1 */
                    localSteps?: number;
                    /**
                     * @description sync: BatchNormalization takes the statistics of the whole batch, not of each replica's share
                     * @default true
                     */
                    syncBatchNorm?: boolean;
                    compression?: {
                        /** @description async: share of each gradient that is sent; what is left is added to the next one */
                        topK: number;
                    };
                };
                loader?: {
                    /**
                     * @description threads that read, decode and augment samples. 0: the training process does it itself; cores: as many as there are; auto: measured in the first training steps, then fixed. The batches are the same whatever it is
                     * @default auto
                     */
                    numWorkers?: number | "auto" | "cores";
                    /** @description random changes of training samples, one after another; never of validation and test samples. Drawn from seed, epoch and sample, so that they do not depend on workers and replicas */
                    augment?: ({
                        /** @enum {string} */
                        kind: "flip";
                        /**
                         * @description horizontal: left becomes right
                         * @default horizontal
                         * @enum {unknown}
                         */
                        direction?: "horizontal" | "vertical";
                        /**
                         * @description share of the samples that are flipped
                         * @default 0.5
                         */
                        probability?: number;
                    } | {
                        /** @enum {string} */
                        kind: "crop";
                        /**
                         * @description pixels of value 0 added on every side
                         * @default 4
                         */
                        padding?: number;
                    } | {
                        /** @enum {string} */
                        kind: "shift";
                        /**
                         * @description most, to either side, as a share of the image's width
                         * @default 0.1
                         */
                        x?: number;
                        /**
                         * @description most, up or down, as a share of the image's height
                         * @default 0.1
                         */
                        y?: number;
                    } | {
                        /** @enum {string} */
                        kind: "rotate";
                        /**
                         * @description most, in either direction
                         * @default 15
                         */
                        degrees?: number;
                    } | {
                        /** @enum {string} */
                        kind: "colour";
                        /**
                         * @description all values: the factor is drawn from 1 - value to 1 + value
                         * @default 0.2
                         */
                        brightness?: number;
                        /**
                         * @description distance to the mean grey: the factor is drawn from 1 - value to 1 + value
                         * @default 0.2
                         */
                        contrast?: number;
                        /**
                         * @description distance to the grey of the pixel: the factor is drawn from 1 - value to 1 + value
                         * @default 0.2
                         */
                        saturation?: number;
                        /**
                         * @description most, as a share of the colour circle
                         * @default 0
                         */
                        hue?: number;
                    } | {
                        /** @enum {string} */
                        kind: "cutout";
                        /**
                         * @description side of the square in pixels
                         * @default 8
                         */
                        size?: number;
                    } | {
                        /** @enum {string} */
                        kind: "mixup";
                        /**
                         * @description the share of the other sample is drawn from Beta(alpha, alpha)
                         * @default 0.2
                         */
                        alpha?: number;
                    } | {
                        /** @enum {string} */
                        kind: "noise";
                        /**
                         * @description standard deviation, in units of the input of the model (after transform)
                         * @default 0.05
                         */
                        sigma?: number;
                    } | {
                        /** @enum {string} */
                        kind: "scale";
                        /**
                         * @description standard deviation of the factor, whose mean is 1
                         * @default 0.1
                         */
                        sigma?: number;
                    })[];
                    /**
                     * @description samples that cannot be decoded while training are replaced by others, with a warning, up to this share of the split; beyond it the job fails
                     * @default 0.01
                     */
                    maxBrokenShare?: number;
                };
                /** @description formats to give the result in, beside ONNX and the upload's own */
                export?: {
                    /** @enum {unknown} */
                    format: "tfjs-graph";
                    /**
                     * @description how weights are stored; default: as the last quantizing step says, else float32
                     * @enum {unknown}
                     */
                    weights?: "float32" | "float16" | "uint16" | "uint8";
                }[];
                limits?: {
                    /** @default 3600 */
                    queueSeconds?: number;
                    /** @default 3600 */
                    runSeconds?: number;
                };
            };
            /** Format: date-time */
            createdAt: string;
            startedAt: string | null;
            endedAt: string | null;
        };
        JobError: {
            /** @enum {unknown} */
            code: "unauthorized" | "forbidden" | "not-found" | "invalid-request" | "method-not-allowed" | "not-acceptable" | "unsupported-media-type" | "unsupported-format" | "malformed-model" | "malformed-dataset" | "unsupported-operator" | "model-not-trainable" | "shape-mismatch" | "dataset-required" | "too-large" | "quota-exceeded" | "rate-limited" | "conflict" | "idempotency-mismatch" | "out-of-memory" | "deadline-exceeded" | "diverged" | "worker-lost" | "range-not-satisfiable" | "unavailable" | "internal";
            message: string;
            /**
             * @description who can mend it: the request, the uploaded files, a limit, the training settings, or the service
             * @enum {unknown}
             */
            class: "request" | "input" | "limit" | "training" | "service";
            /** @description the same request may succeed at another time */
            retryable: boolean;
        };
        JobPage: {
            items: components["schemas"]["Job"][];
            nextCursor: string | null;
        };
        JobRequest: {
            model: string;
            dataset?: string;
            name?: string;
            labels?: {
                [key: string]: string;
            };
            /** @default 0 */
            seed?: number;
            /**
             * @default auto
             * @enum {unknown}
             */
            device?: "auto" | "cpu" | "gpu";
            transform?: {
                /** @description x * scale, before mean and std; default 1 */
                scale?: number;
                /** @description per channel, or one for all */
                mean?: number[];
                /** @description per channel, or one for all */
                std?: number[];
                /** @description [height, width]; default: the model's input size */
                resize?: number[];
            };
            target?: {
                /**
                 * @description how whole numbers of the target are read; "auto": classes, but values where more than two of them meet a model with one float for each sample
                 * @default auto
                 * @enum {unknown}
                 */
                kind: "auto" | "classes" | "values";
            };
            steps: ({
                technique: string;
            } & {
                [key: string]: unknown;
            })[];
            training?: {
                /** @default 128 */
                batchSize?: number;
                /**
                 * @default adam
                 * @enum {unknown}
                 */
                optimizer?: "sgd" | "adam" | "adamw";
                /** @default 0.001 */
                learningRate?: number;
                /**
                 * @description sgd only
                 * @default 0.9
                 */
                momentum?: number;
                /** @default false */
                nesterov?: boolean;
                /** @default 0 */
                weightDecay?: number;
                /** @description global gradient norm */
                clipNorm?: number;
                schedule?: {
                    /** @enum {unknown} */
                    kind: "constant" | "step" | "cosine";
                    /** @default 0 */
                    warmupSteps?: number;
                    /** @description step: epochs between decays */
                    stepEpochs?: number;
                    /** @description step: multiplier at each decay */
                    factor?: number;
                };
                /**
                 * @default auto
                 * @enum {unknown}
                 */
                loss?: "auto" | "cross-entropy" | "binary-cross-entropy" | "mse" | "kl";
                epochs?: number;
                /** @description where the dataset has no validation split; default 0.1 */
                validationFraction?: number;
            };
            parallel?: {
                /**
                 * @description none: training runs in one process; sync: in several, each on its share of every batch, with the result of one; async: replicas send gradients to a parameter server as they have them, without waiting for each other; pipeline and branch are refused
                 * @enum {unknown}
                 */
                mode: "none" | "sync" | "async" | "pipeline" | "branch";
                /**
                 * @description processes that train; auto: as many as the job has threads
                 * @default auto
                 */
                replicas?: number | "auto";
                /**
                 * @description sync: what happens when a replica is gone. restart: the step starts again from its last checkpoint, with as many replicas
                 * @default restart
                 * @enum {unknown}
                 */
                onLoss?: "restart" | "shrink" | "wait";
                /** @description pipeline, branch: parts that the model is cut into */
                stages?: number;
                /** @description pipeline: parts of a batch that are under way at a time */
                microBatches?: number;
                /** @description async */
                staleness?: {
                    /** @description updates that a gradient may be late; others wait for it */
                    max?: number;
                    /** @description learning rate over staleness (arXiv 1511.05950); default true */
                    scaleLearningRate?: boolean;
                    /** @description delay compensation (DC-ASGD, arXiv 1609.08326); default false */
                    compensate?: boolean;
                };
                /** @description async: batches that a replica trains on by itself between two exchanges (DiLoCo, arXiv 2311.08105; delayed Nesterov, 2401.09135); default 1 */
                localSteps?: number;
                /**
                 * @description sync: BatchNormalization takes the statistics of the whole batch, not of each replica's share
                 * @default true
                 */
                syncBatchNorm?: boolean;
                compression?: {
                    /** @description async: share of each gradient that is sent; what is left is added to the next one */
                    topK: number;
                };
            };
            loader?: {
                /**
                 * @description threads that read, decode and augment samples. 0: the training process does it itself; cores: as many as there are; auto: measured in the first training steps, then fixed. The batches are the same whatever it is
                 * @default auto
                 */
                numWorkers?: number | "auto" | "cores";
                /** @description random changes of training samples, one after another; never of validation and test samples. Drawn from seed, epoch and sample, so that they do not depend on workers and replicas */
                augment?: ({
                    /** @enum {string} */
                    kind: "flip";
                    /**
                     * @description horizontal: left becomes right
                     * @default horizontal
                     * @enum {unknown}
                     */
                    direction?: "horizontal" | "vertical";
                    /**
                     * @description share of the samples that are flipped
                     * @default 0.5
                     */
                    probability?: number;
                } | {
                    /** @enum {string} */
                    kind: "crop";
                    /**
                     * @description pixels of value 0 added on every side
                     * @default 4
                     */
                    padding?: number;
                } | {
                    /** @enum {string} */
                    kind: "shift";
                    /**
                     * @description most, to either side, as a share of the image's width
                     * @default 0.1
                     */
                    x?: number;
                    /**
                     * @description most, up or down, as a share of the image's height
                     * @default 0.1
                     */
                    y?: number;
                } | {
                    /** @enum {string} */
                    kind: "rotate";
                    /**
                     * @description most, in either direction
                     * @default 15
                     */
                    degrees?: number;
                } | {
                    /** @enum {string} */
                    kind: "colour";
                    /**
                     * @description all values: the factor is drawn from 1 - value to 1 + value
                     * @default 0.2
                     */
                    brightness?: number;
                    /**
                     * @description distance to the mean grey: the factor is drawn from 1 - value to 1 + value
                     * @default 0.2
                     */
                    contrast?: number;
                    /**
                     * @description distance to the grey of the pixel: the factor is drawn from 1 - value to 1 + value
                     * @default 0.2
                     */
                    saturation?: number;
                    /**
                     * @description most, as a share of the colour circle
                     * @default 0
                     */
                    hue?: number;
                } | {
                    /** @enum {string} */
                    kind: "cutout";
                    /**
                     * @description side of the square in pixels
                     * @default 8
                     */
                    size?: number;
                } | {
                    /** @enum {string} */
                    kind: "mixup";
                    /**
                     * @description the share of the other sample is drawn from Beta(alpha, alpha)
                     * @default 0.2
                     */
                    alpha?: number;
                } | {
                    /** @enum {string} */
                    kind: "noise";
                    /**
                     * @description standard deviation, in units of the input of the model (after transform)
                     * @default 0.05
                     */
                    sigma?: number;
                } | {
                    /** @enum {string} */
                    kind: "scale";
                    /**
                     * @description standard deviation of the factor, whose mean is 1
                     * @default 0.1
                     */
                    sigma?: number;
                })[];
                /**
                 * @description samples that cannot be decoded while training are replaced by others, with a warning, up to this share of the split; beyond it the job fails
                 * @default 0.01
                 */
                maxBrokenShare?: number;
            };
            /** @description formats to give the result in, beside ONNX and the upload's own */
            export?: {
                /** @enum {unknown} */
                format: "tfjs-graph";
                /**
                 * @description how weights are stored; default: as the last quantizing step says, else float32
                 * @enum {unknown}
                 */
                weights?: "float32" | "float16" | "uint16" | "uint8";
            }[];
            limits?: {
                /** @default 3600 */
                queueSeconds?: number;
                /** @default 3600 */
                runSeconds?: number;
            };
        };
        /** @enum {unknown} */
        JobState: "queued" | "running" | "canceling" | "succeeded" | "failed" | "canceled" | "expired";
        JobStep: {
            technique: string;
            /** @enum {unknown} */
            state: "pending" | "running" | "succeeded" | "failed" | "skipped";
            progress: number;
            /** @description last value by name; the course of them is in the events and in /metrics of the job */
            metrics: {
                [key: string]: number;
            };
            warnings: {
                code: string;
                message: string;
                step?: number;
            }[];
            startedAt: string | null;
            endedAt: string | null;
        };
        Key: {
            id: string;
            tenant: string;
            name: string;
            /** @enum {unknown} */
            role: "administrator" | "member";
            /** @description first characters, to recognise it */
            prefix: string;
            /** Format: date-time */
            createdAt: string;
            lastUsedAt: string | null;
        };
        KeyPage: {
            items: components["schemas"]["Key"][];
            nextCursor: string | null;
        };
        Metric: {
            step: number;
            epoch: number;
            name: string;
            value: number;
        };
        Model: {
            id: string;
            name: string;
            /** @enum {unknown} */
            format: "onnx" | "keras-h5" | "keras" | "tfjs-layers" | "tfjs-graph";
            /** @description lower-case hex */
            sha256: string;
            sizeBytes: number;
            /** @description elements of all weights */
            parameters: number;
            /** @description multiply-accumulates of one sample (convolutions, matrix products, recurrences, attention); null where shapes are unknown */
            macs: number | null;
            inputs: {
                name: string;
                /** @description ONNX element type, lower case */
                dtype: string;
                /** @description null: a dimension left open */
                shape: (number | null)[];
                /** @description rows of the smallest table that the values of this integer input index */
                tableRows?: number;
            }[];
            outputs: {
                name: string;
                /** @description ONNX element type, lower case */
                dtype: string;
                /** @description null: a dimension left open */
                shape: (number | null)[];
            }[];
            opset: number;
            /** @description count by operator type */
            operators: {
                [key: string]: number;
            };
            trainable: boolean;
            untrainable: {
                node: string;
                operator: string;
                reason: string;
            }[];
            warnings: {
                code: string;
                message: string;
            }[];
            /** Format: date-time */
            createdAt: string;
        };
        ModelPage: {
            items: components["schemas"]["Model"][];
            nextCursor: string | null;
        };
        NewKey: {
            /** @description made where there is none of this name */
            tenant: string;
            name: string;
            /**
             * @default member
             * @enum {unknown}
             */
            role?: "administrator" | "member";
        };
        Problem: {
            type: string;
            title: string;
            status: number;
            detail: string;
            /** @enum {unknown} */
            code: "unauthorized" | "forbidden" | "not-found" | "invalid-request" | "method-not-allowed" | "not-acceptable" | "unsupported-media-type" | "unsupported-format" | "malformed-model" | "malformed-dataset" | "unsupported-operator" | "model-not-trainable" | "shape-mismatch" | "dataset-required" | "too-large" | "quota-exceeded" | "rate-limited" | "conflict" | "idempotency-mismatch" | "out-of-memory" | "deadline-exceeded" | "diverged" | "worker-lost" | "range-not-satisfiable" | "unavailable" | "internal";
            /** @description the request's id, as in the logs */
            instance?: string;
            errors: {
                /** @description JSON pointer into the request, or a place in the file */
                path: string;
                message: string;
            }[];
        };
        Readiness: {
            /** @enum {unknown} */
            status: "ready" | "unavailable";
            /** @description "ok", or what is wrong: database, queue, artifacts */
            checks: {
                [key: string]: string;
            };
        };
        Report: {
            before: {
                sizeBytes: number;
                gzipBytes: number;
                parameters: number;
                nonZero: number;
                macs: number | null;
                accuracy: {
                    top1: number | null;
                    loss: number;
                    samples: number;
                    split: string;
                } | null;
                fidelity: {
                    top1Agreement: number | null;
                    sqnrDb: number | null;
                    maxAbsError: number;
                    samples: number;
                    exact?: {
                        top1Agreement: number | null;
                        sqnrDb: number | null;
                        maxAbsError: number;
                        /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                        saturatingProducts: number;
                    } | null;
                };
                latencyMs: {
                    /** @description ms */
                    median: number;
                    /** @description ms */
                    p90: number;
                    batch: number;
                    threads: number;
                    runs: number;
                    /** @description runtime and version */
                    runtime: string;
                    /** @description of the machine that measured; absent in older reports */
                    processor?: string;
                    /** @description those of its instruction sets that kernels are chosen by, the newest last */
                    instructionSets?: string[];
                    simulated: boolean;
                } | null;
            };
            after: {
                sizeBytes: number;
                gzipBytes: number;
                parameters: number;
                nonZero: number;
                macs: number | null;
                accuracy: {
                    top1: number | null;
                    loss: number;
                    samples: number;
                    split: string;
                } | null;
                fidelity: {
                    top1Agreement: number | null;
                    sqnrDb: number | null;
                    maxAbsError: number;
                    samples: number;
                    exact?: {
                        top1Agreement: number | null;
                        sqnrDb: number | null;
                        maxAbsError: number;
                        /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                        saturatingProducts: number;
                    } | null;
                };
                latencyMs: {
                    /** @description ms */
                    median: number;
                    /** @description ms */
                    p90: number;
                    batch: number;
                    threads: number;
                    runs: number;
                    /** @description runtime and version */
                    runtime: string;
                    /** @description of the machine that measured; absent in older reports */
                    processor?: string;
                    /** @description those of its instruction sets that kernels are chosen by, the newest last */
                    instructionSets?: string[];
                    simulated: boolean;
                } | null;
            };
            steps: {
                technique: string;
                after: {
                    sizeBytes: number;
                    gzipBytes: number;
                    parameters: number;
                    nonZero: number;
                    macs: number | null;
                    accuracy: {
                        top1: number | null;
                        loss: number;
                        samples: number;
                        split: string;
                    } | null;
                    fidelity: {
                        top1Agreement: number | null;
                        sqnrDb: number | null;
                        maxAbsError: number;
                        samples: number;
                        exact?: {
                            top1Agreement: number | null;
                            sqnrDb: number | null;
                            maxAbsError: number;
                            /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                            saturatingProducts: number;
                        } | null;
                    };
                    latencyMs: {
                        /** @description ms */
                        median: number;
                        /** @description ms */
                        p90: number;
                        batch: number;
                        threads: number;
                        runs: number;
                        /** @description runtime and version */
                        runtime: string;
                        /** @description of the machine that measured; absent in older reports */
                        processor?: string;
                        /** @description those of its instruction sets that kernels are chosen by, the newest last */
                        instructionSets?: string[];
                        simulated: boolean;
                    } | null;
                };
                /** @description analyze: what the model loses when one layer alone is pruned or quantized, measured in onnxruntime; nothing is retrained */
                sensitivity?: {
                    /**
                     * @description what `drop` counts. top1: accuracy that is lost, 0..1; loss: its growth as a share; without labels top1Agreement: share of samples that get another class; noise: squared difference of the outputs as a share of their squares
                     * @enum {unknown}
                     */
                    metric: "top1" | "loss" | "top1Agreement" | "noise";
                    baseline: {
                        top1: number | null;
                        loss: number;
                    } | null;
                    samples: number;
                    /**
                     * @description validation: the split, or what training would hold out for it; train: a dataset of one sample; random: no dataset
                     * @enum {unknown}
                     */
                    data: "validation" | "train" | "random";
                    /** @description a layer that costs more is recommended for exclusion */
                    tolerance: number;
                    /** @description the most sensitive first */
                    layers: {
                        /** @description the layer's weight, as layer filters call it */
                        weight: string;
                        /** @description nodes and values that layer filters find it by as well */
                        nodes: string[];
                        parameters: number;
                        /** @description the greatest of its trials */
                        drop: number;
                        trials: {
                            /**
                             * @description prune: the smallest weights are zeros; int8: weights have 8 bits, one scale per output channel
                             * @enum {unknown}
                             */
                            kind: "prune" | "int8";
                            sparsity: number | null;
                            /** @description how much worse the model gets by the metric; 0: not at all, less: better */
                            drop: number;
                            top1: number | null;
                            loss: number | null;
                            top1Agreement: number | null;
                            sqnrDb: number | null;
                        }[];
                    }[];
                    recommendations: {
                        /** @enum {unknown} */
                        kind: "prune" | "int8";
                        sparsity: number | null;
                        /** @description weights, for `layers.exclude` of the step that does this */
                        exclude: string[];
                    }[];
                };
                /** @description how the processes of a parallel training spent their time */
                parallel?: {
                    mode: string;
                    /** @description processes that trained together, at the end */
                    replicas: number;
                    /** @description training steps that the figures are means of */
                    steps: number;
                    /** @description by replica: a training step's own computing, ms, without exchange and waiting */
                    stepMs: number[];
                    /** @description exchange of a training step, ms, for the replica that others waited for */
                    exchangeMs: number;
                    /** @description 0..1 of the time of all replicas: waiting for a slower one, or for work */
                    waitShare: number;
                    /** @description async, by replica */
                    samplesPerSecond?: number[];
                    /** @description async: gradients by how many updates of the weights came between their pull and their use */
                    staleness?: number[];
                };
                /** @description how samples were loaded in the step's last training */
                loader?: {
                    asked: number | "auto" | "cores";
                    /** @description threads that made batches; with auto, the number that was chosen */
                    numWorkers: number;
                    /** @description share of the training time that the device waited for batches, 0..1 */
                    waitShare: number;
                };
            }[];
            /** @description how the processes of a parallel training spent their time */
            parallel?: {
                mode: string;
                /** @description processes that trained together, at the end */
                replicas: number;
                /** @description training steps that the figures are means of */
                steps: number;
                /** @description by replica: a training step's own computing, ms, without exchange and waiting */
                stepMs: number[];
                /** @description exchange of a training step, ms, for the replica that others waited for */
                exchangeMs: number;
                /** @description 0..1 of the time of all replicas: waiting for a slower one, or for work */
                waitShare: number;
                /** @description async, by replica */
                samplesPerSecond?: number[];
                /** @description async: gradients by how many updates of the weights came between their pull and their use */
                staleness?: number[];
            };
            exports?: {
                name: string;
                format: string;
                /** @description how the file stores its weights */
                weights: string;
                sizeBytes: number;
                gzipBytes: number;
                accuracy: {
                    top1: number | null;
                    loss: number;
                    samples: number;
                    split: string;
                } | null;
                fidelity: {
                    top1Agreement: number | null;
                    sqnrDb: number | null;
                    maxAbsError: number;
                    samples: number;
                    exact?: {
                        top1Agreement: number | null;
                        sqnrDb: number | null;
                        maxAbsError: number;
                        /** @description products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: the file computes the same everywhere */
                        saturatingProducts: number;
                    } | null;
                };
            }[];
            warnings: {
                code: string;
                message: string;
                step?: number;
            }[];
        };
        Technique: {
            name: string;
            version: number;
            summary: string;
            paper: string | null;
            /** @description JSON Schema of the step as a job request has it; what has a default may be left out */
            parameters: {
                [key: string]: unknown;
            };
        };
        Worker: {
            id: string;
            /** @enum {unknown} */
            pool: "cpu" | "gpu";
            host: string;
            pid: number;
            devices: string[];
            engine: string;
            /** @description jobs at a time */
            slots: number;
            /** @description ids of your jobs that it runs now */
            jobs: string[];
            /** @description jobs that it runs now, of whatever tenant */
            busy: number;
            /** Format: date-time */
            startedAt: string;
            /** Format: date-time */
            seenAt: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    getHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It does */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All can */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Readiness"];
                };
            };
            /** @description Some cannot */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Readiness"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Text in Prometheus' format */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDocument: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OpenAPI 3.1 */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listModels: {
        parameters: {
            query?: {
                /** @description `nextCursor` of the page before */
                cursor?: string;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of models */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ModelPage"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createModel: {
        parameters: {
            query?: {
                /** @description defaults to the file's name, where one is sent */
                name?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/octet-stream": Blob | ReadableStream<Uint8Array>;
                "multipart/form-data": {
                    /** Format: binary */
                    file: Blob | ReadableStream<Uint8Array>;
                };
            };
        };
        responses: {
            /** @description The model, parsed and checked */
            201: {
                headers: {
                    /** @description its path */
                    location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Model"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too-large`: The upload is over a size limit. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported-format`: The file is of a format that is not supported. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `malformed-model`: The model file is damaged or contradicts itself. `unsupported-operator`: The model holds an operator that this step cannot handle. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. `quota-exceeded`: A quota is used up. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getModel: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The model */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Model"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    deleteModel: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `conflict`: The resource is in a state that does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listDatasets: {
        parameters: {
            query?: {
                /** @description `nextCursor` of the page before */
                cursor?: string;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of datasets */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DatasetPage"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createDataset: {
        parameters: {
            query?: {
                /** @description defaults to the file's name, where one is sent */
                name?: string;
                /** @description csv: the column to predict */
                target?: string;
                /** @description csv: what that column holds, where its values leave it open */
                targetKind?: "classes" | "values";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/octet-stream": Blob | ReadableStream<Uint8Array>;
                "multipart/form-data": {
                    /** Format: binary */
                    file: Blob | ReadableStream<Uint8Array>;
                };
            };
        };
        responses: {
            /** @description The dataset, read whole */
            201: {
                headers: {
                    /** @description its path */
                    location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Dataset"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too-large`: The upload is over a size limit. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported-format`: The file is of a format that is not supported. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `malformed-dataset`: The dataset file is damaged or contradicts itself. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. `quota-exceeded`: A quota is used up. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDataset: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The dataset */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Dataset"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    deleteDataset: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `conflict`: The resource is in a state that does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listJobs: {
        parameters: {
            query?: {
                /** @description `nextCursor` of the page before */
                cursor?: string;
                limit?: number;
                /** @description any of these; repeated, or separated by commas */
                state?: components["schemas"]["JobState"][];
                /** @description `name:value`, or `name` for any value; several must all fit */
                label?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of jobs */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobPage"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createJob: {
        parameters: {
            query?: {
                /** @description checks and estimates only */
                dryRun?: boolean;
            };
            header?: {
                /** @description the same key and body again, within a day, give the first answer and no second job */
                "idempotency-key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["JobRequest"];
            };
        };
        responses: {
            /** @description `dryRun`: the request is valid; nothing was stored */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DryRun"];
                };
            };
            /** @description The job is queued */
            202: {
                headers: {
                    /** @description its path */
                    location?: string;
                    /** @description "true" where this is the answer to an earlier request */
                    "idempotency-replayed"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Job"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `conflict`: The resource is in a state that does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too-large`: The upload is over a size limit. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported-media-type`: The request body is of a type that is not read here. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `idempotency-mismatch`: The Idempotency-Key was used with another request. `dataset-required`: This technique needs a dataset. `model-not-trainable`: The model cannot be trained. `unsupported-operator`: The model holds an operator that this step cannot handle. `shape-mismatch`: Shapes of model and data do not fit. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. `quota-exceeded`: A quota is used up. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getJob: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Job"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancelJob: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job, canceled or about to be */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Job"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `conflict`: The resource is in a state that does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    followEvents: {
        parameters: {
            query?: never;
            header?: {
                /** @description go on after this event */
                "last-event-id"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description The job has ended and there are no events after Last-Event-ID */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getReport: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The report */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Report"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `conflict`: The resource is in a state that does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All metrics of the job */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        items: components["schemas"]["Metric"][];
                    };
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listArtifacts: {
        parameters: {
            query?: {
                /** @description `nextCursor` of the page before */
                cursor?: string;
                limit?: number;
                /** @description of this job only */
                job?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of artifacts */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ArtifactPage"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getArtifact: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The artifact */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Artifact"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getArtifactContent: {
        parameters: {
            query?: never;
            header?: {
                /** @description `bytes=first-last`, `bytes=first-`, `bytes=-count` */
                range?: string;
                "if-none-match"?: string;
                "if-range"?: string;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file */
            200: {
                headers: {
                    /** @description of the content: changes never */
                    etag?: string;
                    /** @description sha-256 of the whole file, base64 */
                    digest?: string;
                    /** @description with the file's name */
                    "content-disposition"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": Blob | ReadableStream<Uint8Array>;
                };
            };
            /** @description The range */
            206: {
                headers: {
                    /** @description of the content: changes never */
                    etag?: string;
                    /** @description sha-256 of the whole file, base64 */
                    digest?: string;
                    /** @description with the file's name */
                    "content-disposition"?: string;
                    /** @description which bytes of how many */
                    "content-range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": Blob | ReadableStream<Uint8Array>;
                };
            };
            /** @description If-None-Match names the content: the client has it */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `range-not-satisfiable`: The requested byte range lies outside the artifact. */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listTechniques: {
        parameters: {
            query?: {
                /** @description `nextCursor` of the page before */
                cursor?: string;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All techniques */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        items: components["schemas"]["Technique"][];
                        nextCursor: null;
                    };
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getTechnique: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The technique */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Technique"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listWorkers: {
        parameters: {
            query?: {
                /** @description `nextCursor` of the page before */
                cursor?: string;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All live workers */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        items: components["schemas"]["Worker"][];
                        nextCursor: null;
                    };
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listKeys: {
        parameters: {
            query?: {
                /** @description `nextCursor` of the page before */
                cursor?: string;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of keys */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyPage"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `forbidden`: This key may not do that. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewKey"];
            };
        };
        responses: {
            /** @description The key, shown this once */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedKey"];
                };
            };
            /** @description `invalid-request`: The request is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `forbidden`: This key may not do that. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too-large`: The upload is over a size limit. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported-media-type`: The request body is of a type that is not read here. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    deleteKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key is worth nothing any more */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `unauthorized`: No valid API key was given. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `forbidden`: This key may not do that. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-found`: There is no such resource. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not-acceptable`: There is no answer of a type that the request accepts. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `conflict`: The resource is in a state that does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate-limited`: Too many requests. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unavailable`: The service is not ready. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal`: something went wrong inside Lathe. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
